//! The page: one HTML file that asks nothing of any network.

use super::model::{Report, Run, State};
use super::pictures::{Film, Frame, film};
use super::words::{capital, scrolled, status, whole};
use super::{curves, tables};
use anyhow::Result;
use maud::{DOCTYPE, Markup, PreEscaped, html};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
/// What the page may do: show what is in it.
const POLICY: &str = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      base-uri 'none'; form-action 'none'";
/// Seconds after which a page looks for a newer one while its runs go on.
const REFRESH: u32 = 10;
/// Who made the file: one that does not say so is not written over.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"cargo xtask report\">";

/// The page of a report.
///
/// # Errors
/// A plot that cannot be drawn.
pub fn page(report: &Report) -> Result<String> {
    let report = &cleaned(report.clone());
    let mut film = film(report);
    // A file's name is a text like any other.
    film.said.iter_mut().for_each(|said| *said = plain(said));
    let several = report.variants.len() > 1;
    let has_pictures = film.runs.iter().any(|frames| !frames.is_empty());
    let mut sections: Vec<(&str, &str, Markup)> = Vec::new();
    if several && !report.settings.is_empty() {
        sections.push(("differs", "What differs", tables::settings(report)));
    }
    sections.push(("measures", "Measures", tables::measures(report)));
    if has_pictures || !film.said.is_empty() {
        sections.push(("pictures", "Pictures", pictures(report, &film)));
    }
    if let Some(curves) = curves::curves(report)? {
        sections.push(("curves", "Curves", curves));
    }
    sections.push(("cost", "Time and memory", tables::costs(report)));
    let said = notes(report);
    if let Some(said) = said {
        sections.push(("notes", "Notes", said));
    }
    sections.push(("how", "How it was made", how(report, several)));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                (PreEscaped(GENERATOR))
                title { (report.title) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
                @if report.live { noscript { meta http-equiv="refresh" content=(REFRESH); } }
            }
            body data-refresh=[report.live.then_some(REFRESH)] {
                a.skip href="#main" { "Skip to the report" }
                header {
                    h1 { (report.title) }
                    @if let Some(lead) = &report.lead { p.lead { (lead) } }
                    (progress(report))
                    nav aria-label="Sections" { ul {
                        @for (id, name, _) in &sections { li { a href={ "#" (id) } { (name) } } }
                    } }
                }
                main id="main" {
                    @for (id, name, inside) in &sections {
                        section id=(id) aria-labelledby={ (id) "-name" } {
                            h2 id={ (id) "-name" } { (name) }
                            (inside)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

/// How far the runs are, and the control of looking for a newer page.
fn progress(report: &Report) -> Markup {
    let runs: Vec<(usize, &Run)> = report.runs().collect();
    let count = |is: fn(&State) -> bool| runs.iter().filter(|(_, run)| is(&run.state)).count();
    let named = |variant: usize, run: &Run| {
        let variant = report.variants.get(variant);
        format!(
            "{}, seed {}",
            variant.map_or("", |variant| &variant.name),
            run.seed
        )
    };
    html! {
        div.progress role="status" {
            @match runs.as_slice() {
                [(_, run)] => p { (capital(&status(run))) },
                _ => {
                    p {
                        (count(|state| *state == State::Done)) " of " (runs.len()) " runs are done"
                        @let waiting = count(|state| *state == State::Waiting);
                        @if waiting > 0 { ", " (waiting) " wait" }
                        @let failed = count(|state| matches!(state, State::Failed(_)));
                        @if failed > 0 { ", " strong { (failed) " failed" } }
                    }
                    @for (variant, run) in &runs {
                        @if !matches!(run.state, State::Done | State::Waiting) {
                            p { (named(*variant, run)) ": " (status(run)) }
                        }
                    }
                }
            }
        }
        @if report.live {
            p.scripted hidden { label {
                input type="checkbox" id="refresh" checked;
                " Look for a newer page every " (REFRESH) " seconds"
            } }
        }
    }
}

/// The pictures: a column a variant, a row a seed, and one slider over the training.
fn pictures(report: &Report, film: &Film) -> Markup {
    let last = film.places.len().saturating_sub(1);
    let mut frames = film.runs.iter();
    let mut rows: Vec<(u64, Vec<Option<Markup>>)> = Vec::new();
    for (variant, run) in report.runs() {
        let at = rows.iter().position(|(seed, _)| *seed == run.seed);
        let at = at.unwrap_or_else(|| {
            rows.push((run.seed, vec![None; report.variants.len()]));
            rows.len() - 1
        });
        let name = report
            .variants
            .get(variant)
            .map_or("", |variant| variant.name.as_str());
        let shown = frames.next().filter(|frames| !frames.is_empty());
        let shown =
            shown.map(|frames| html! { @for one in frames { (frame(name, run, one, last)) } });
        if let Some(cell) = rows
            .get_mut(at)
            .and_then(|(_, cells)| cells.get_mut(variant))
        {
            *cell = shown;
        }
    }
    let shares: Vec<String> = film
        .places
        .iter()
        .map(|at| format!("{:.0}", 100. * at.min(1.)))
        .collect();
    let columns = format!("--columns: {}", report.variants.len().max(1));
    let table = html! { table.pictures style=(columns) {
        caption { "The same noise or inputs in each row, the last moment unless another is chosen" }
        thead { tr {
            td {}
            @for variant in &report.variants { th scope="col" { (variant.name) } }
        } }
        tbody { @for (seed, cells) in &rows { tr {
            th scope="row" { "seed " (seed) }
            @for cell in cells { td { @match cell {
                Some(frames) => { (frames) },
                None => { p.none { "no pictures" } },
            } } }
        } } }
    } };
    html! {
        @if last > 0 {
            div.slider.scripted hidden {
                label for="moment" { "Moment of the training" }
                input type="range" id="moment" min="0" max=(last) value=(last) step="1" data-shares=(shares.join(" "));
                output for="moment" id="share" { "100 %" }
            }
        }
        (scrolled("pictures", &table))
        @for said in &film.said { p.about { (said) } }
    }
}

fn frame(variant: &str, run: &Run, frame: &Frame, last: usize) -> Markup {
    let places: Vec<String> = frame.at.iter().map(usize::to_string).collect();
    let when = match frame.t {
        0 => "untrained".to_string(),
        t => format!("iteration {} of {}", whole(t), whole(run.steps)),
    };
    html! {
        figure data-at=(places.join(" ")) hidden[!frame.at.contains(&last)] {
            img src=(frame.source) width=(frame.width) height=(frame.height) decoding="async"
                alt={ "Grid of pictures: " (variant) ", seed " (run.seed) ", " (when) };
            figcaption { (when) }
        }
    }
}

/// What is to be said of the whole and of each run.
fn notes(report: &Report) -> Option<Markup> {
    let several = report.runs().count() > 1;
    let mut said: Vec<String> = report.notes.clone();
    for (variant, run) in report.runs() {
        for (t, text) in &run.notes {
            let of = report.variants.get(variant).filter(|_| several);
            let of = of.map_or(String::new(), |variant| {
                format!("{}, seed {}: ", variant.name, run.seed)
            });
            let when = match t {
                0 => String::new(),
                t => format!("iteration {}: ", whole(*t)),
            };
            let line = format!("{of}{when}{text}");
            if !said.contains(&line) {
                said.push(line);
            }
        }
    }
    (!said.is_empty()).then(|| html! { ul { @for line in &said { li { (line) } } } })
}

fn how(report: &Report, several: bool) -> Markup {
    html! {
        @if !report.command.is_empty() {
            p { "The same again:" }
            pre.box tabindex="0" role="region" aria-label="Command" { code { (report.command) } }
        }
        @if !report.facts.is_empty() {
            dl.facts { @for (name, value) in &report.facts { div { dt { (name) } dd { (value) } } } }
        }
        @if !several && !report.settings.is_empty() {
            details id="settings" { summary { "All settings" } (tables::settings(report)) }
        }
    }
}

/// The report with what a browser would obey in its texts written out: control characters, and marks that turn the
/// direction of writing.
fn cleaned(mut report: Report) -> Report {
    let clean = |text: &mut String| *text = plain(text);
    clean(&mut report.title);
    clean(&mut report.command);
    report.lead.iter_mut().for_each(clean);
    report.notes.iter_mut().for_each(clean);
    for (name, value) in &mut report.facts {
        clean(name);
        clean(value);
    }
    for setting in &mut report.settings {
        clean(&mut setting.key);
        clean(&mut setting.about);
        setting.values.iter_mut().flatten().for_each(clean);
    }
    for variant in &mut report.variants {
        clean(&mut variant.name);
        for run in &mut variant.runs {
            if let State::Failed(why) = &mut run.state {
                clean(why);
            }
            run.notes.iter_mut().for_each(|(_, text)| clean(text));
            for curve in &mut run.curves {
                clean(&mut curve.name);
                curve.about.iter_mut().for_each(clean);
            }
            for measured in &mut run.measures {
                clean(&mut measured.name);
                clean(&mut measured.protocol);
                if let super::model::Of::Yardstick(name) = &mut measured.of {
                    clean(name);
                }
            }
        }
    }
    report
}

fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
    let written = |c: char| match turns(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    gan_core::plain(text).chars().map(written).collect()
}
