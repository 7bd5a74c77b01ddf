//! Pages and readers meet what they should not.

use super::model::{Curve, Of, Point, State};
use super::model::{Measured, Report, Run, Setting, Shot, Variant};
use super::page::page;
use super::read;
use std::path::Path;

/// What a browser, a terminal or a reader could be misled by.
const ODD: &str = "<b title=\"x\" onload='y'>&amp;\u{1b}[2J\u{202e}gnp.exe\n</script>";

fn curve(name: &str, values: &[f64]) -> Curve {
    let points = values.iter().enumerate().map(|(i, &value)| Point {
        t: 10 * i as u64,
        shown: Some(320 * i as u64),
        seconds: Some(i as f64),
        value,
    });
    Curve {
        name: name.into(),
        about: Some(ODD.into()),
        points: points.collect(),
    }
}

/// A report whose every text is odd.
fn odd(state: State) -> Report {
    let measured = |of| Measured {
        of,
        name: ODD.into(),
        value: 1.,
        protocol: ODD.into(),
        ..Measured::default()
    };
    let run = Run {
        state,
        steps: 20,
        curves: vec![curve(ODD, &[1., f64::NAN, 2.])],
        pictures: vec![Shot {
            file: ODD.into(),
            column: ODD.into(),
            t: 0,
        }],
        measures: vec![
            measured(Of::Yardstick(ODD.into())),
            measured(Of::Moment(20)),
        ],
        notes: vec![(3, ODD.into())],
        ..Run::default()
    };
    let variant = Variant {
        name: ODD.into(),
        runs: vec![run],
    };
    Report {
        title: ODD.into(),
        lead: Some(ODD.into()),
        command: ODD.into(),
        facts: vec![(ODD.into(), ODD.into())],
        notes: vec![ODD.into()],
        settings: vec![Setting {
            key: ODD.into(),
            about: ODD.into(),
            values: vec![Some(ODD.into()), None],
        }],
        variants: vec![variant.clone(), variant],
        live: false,
    }
}

#[test]
fn no_text_is_markup_and_none_is_obeyed() {
    let page = page(&odd(State::Failed(ODD.into()))).expect("a page");
    assert!(page.contains("&lt;b title=&quot;x&quot;"));
    // Written out where it was: `&amp;` is a text, too.
    assert!(page.contains("&gt;&amp;amp;"));
    let is_obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert_eq!(page.chars().find(|c| is_obeyed(*c)), None);
    assert_eq!(page.matches("</script>").count(), 1);
    for piece in page.split('<').skip(1) {
        let name: String = piece
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        assert_ne!(name, "b");
    }
}

#[test]
fn a_page_looks_for_a_newer_one_only_while_its_runs_go_on() {
    let mut report = odd(State::Training { done: 7 });
    report.live = true;
    let live = page(&report).expect("a page");
    assert!(live.contains("data-refresh=\"10\"") && live.contains("http-equiv=\"refresh\""));
    assert!(live.contains("training, iteration 7 of 20"));
    let done = page(&odd(State::Done)).expect("a page");
    assert!(!done.contains("data-refresh=") && !done.contains("http-equiv=\"refresh\""));
}

#[test]
fn a_page_names_nothing_outside_itself() {
    let page = page(&odd(State::Done)).expect("a page");
    assert!(page.contains("default-src 'none'"));
    for word in ["http://", "https://", "src=\"/", "url(", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
}

#[test]
fn what_is_not_finite_is_said() {
    let page = page(&odd(State::Done)).expect("a page");
    assert!(page.contains("2 values are not finite"));
}

#[test]
fn an_empty_report_and_one_from_json_can_be_drawn() {
    page(&Report::default()).expect("a page");
    let report = odd(State::Stopped { done: 3 });
    let json = serde_json::to_string(&report).expect("JSON");
    let read: Report = serde_json::from_str(&json).expect("a report");
    assert_eq!(page(&read).expect("a page"), page(&report).expect("a page"));
}

#[test]
fn many_long_runs_make_no_large_page() {
    let long: Vec<f64> = (0..20_000).map(|i| f64::from(i * 7919 % 1000)).collect();
    let run = |seed| Run {
        seed,
        state: State::Done,
        steps: 200_000,
        curves: (0..10)
            .map(|i| curve(&format!("loss/{i}"), &long))
            .collect(),
        ..Run::default()
    };
    let variants = ["a", "b", "c", "d"].map(|name| Variant {
        name: name.into(),
        runs: vec![run(1), run(2)],
    });
    let report = Report {
        variants: variants.to_vec(),
        ..Report::default()
    };
    let size = page(&report).expect("a page").len();
    assert!(size < 1_500_000, "{size}");
}

const CONFIG: &str = "format = 2\npaper = \"vanilla\"\npreset = \"smoke\"\ndata = \"mnist\"\nseed = 3\nsteps = 40\n\
                      log_every = 10\nsample_every = 10\nsave_every = 0\nkeep = 1\n\n[config]\nlr = 0.1\n";

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

fn said(run: &Run) -> String {
    let said = run.notes.iter().map(|(_, text)| text.as_str());
    said.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_whole_folder_is_read() {
    let dir = folder(&[
        ("config.toml", CONFIG),
        (
            "scalars.csv",
            "iteration,name,value\n10,loss/d/d,1\n10,lr/d,0.5\n20,loss/d/d,NaN\n40,loss/d/d,3\n",
        ),
        (
            "times.csv",
            "iteration,shown,seconds,cpu_seconds,peak_mib\n10,320,1,2,50\n20,640,3,4,60\n40,1280,7,9,61\n",
        ),
        ("notes.txt", "0\ta\n20\tb c\n"),
        ("samples/step-00000000-fake.png", ""),
        ("samples/step-00000040-fake.png", ""),
        ("samples/step-00000040-real.png", ""),
        ("samples/latest.png", ""),
        (
            "metrics.json",
            r#"{"rows":[{"of":"training pictures","measures":[{"name":"fid","value":1.0}]},
            {"of":"4,000 a2b","measures":[{"name":"fid","value":2.5,"error":0.1,"better":"lower","protocol":"p"},
            {"name":"bad","value":null}]}]}"#,
        ),
    ]);
    let (settings, run) = read::run(dir.path()).expect("a run");
    assert_eq!(settings.expect("settings").paper, "vanilla");
    assert_eq!((run.seed, run.steps, &run.state), (3, 40, &State::Done));
    assert_eq!(
        (run.shown, run.seconds, run.peak_mib),
        (Some(1280), Some(7.), Some(61))
    );
    assert_eq!(run.curves.len(), 2);
    let points = &run.curves[0].points;
    assert_eq!(
        (points[1].t, points[1].shown, points[1].seconds),
        (20, Some(640), Some(3.))
    );
    assert!(points[1].value.is_nan() && points[2].value == 3.);
    let shots: Vec<u64> = run.pictures.iter().map(|shot| shot.t).collect();
    assert_eq!(shots, [0, 40]);
    assert_eq!(run.notes, [(0, "a".into()), (20, "b c".into())]);
    assert_eq!(run.measures.len(), 2);
    let measured = &run.measures[1];
    assert_eq!(
        (&measured.of, measured.name.as_str()),
        (&Of::Moment(4000), "a2b: fid")
    );
    assert_eq!(
        (measured.error, measured.protocol.as_str()),
        (Some(0.1), "p")
    );
}

#[test]
fn what_is_missing_or_cut_is_said_and_the_rest_is_read() {
    let cut = "iteration,name,value\n10,loss/d/d,1\nxx\u{fffd}\0\n20,loss/d/d,2\n30,loss/d/d,2.9";
    let dir = folder(&[
        ("config.toml", CONFIG),
        ("scalars.csv", cut),
        ("metrics.json", "{\"rows\":"),
    ]);
    std::fs::write(dir.path().join("times.csv"), b"\xff\xfe\0\0").expect("a file");
    let (_, run) = read::run(dir.path()).expect("a run");
    // The last line has no end: its value may go on.
    assert_eq!(run.curves[0].points.len(), 2);
    assert_eq!(run.state, State::Stopped { done: 20 });
    assert_eq!((run.curves[0].points[0].seconds, run.seconds), (None, None));
    let said = said(&run);
    for words in [
        "left out: 1",
        "times.csv has no values",
        "no grids",
        "metrics.json cannot be read",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // A damaged config.toml costs the settings alone.
    let damaged = folder(&[("config.toml", "steps = "), ("scalars.csv", cut)]);
    let (settings, run) = read::run(damaged.path()).expect("a run");
    assert!(settings.is_none() && run.curves.len() == 1);
    assert!(
        self::said(&run).contains("config.toml"),
        "{}",
        self::said(&run)
    );
    // A run that has only just begun lacks nothing yet.
    let begun = folder(&[("config.toml", CONFIG), (".lock", "running\n")]);
    let (_, run) = read::run(begun.path()).expect("a run");
    assert_eq!(
        (run.state, run.notes.len()),
        (State::Training { done: 0 }, 0)
    );
}

#[test]
fn a_folder_without_anything_of_a_run_is_refused() {
    let empty = folder(&[("other.txt", "")]);
    let unreadable = folder(&[("config.toml", "steps = ")]);
    for (path, words) in [
        (Path::new("nowhere/at/all"), "no such folder"),
        (empty.path(), "holds no run"),
        (unreadable.path(), "nothing of a run"),
    ] {
        let error = read::run(path).expect_err("no run").to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn runs_that_differ_in_their_seed_are_one_variant() {
    let scalars = ("scalars.csv", "iteration,name,value\n40,loss/d/d,3\n");
    let config = |from: &str, to: &str| CONFIG.replace(from, to);
    let texts = [
        config("seed = 3", "seed = 1"),
        config("seed = 3", "seed = 2"),
        config("lr = 0.1", "lr = 0.2"),
        config("vanilla", "dcgan"),
    ];
    let folders = texts.map(|text| folder(&[("config.toml", &text), scalars]));
    let paths = folders.each_ref().map(|dir| dir.path().to_path_buf());
    let report = super::of_runs(crate::registry::PAPERS, &paths).expect("a report");
    let names: Vec<&str> = report
        .variants
        .iter()
        .map(|variant| variant.name.as_str())
        .collect();
    assert_eq!(names, ["vanilla lr=0.1", "vanilla lr=0.2", "dcgan"]);
    assert_eq!(report.variants[0].runs.len(), 2);
    let keys: Vec<&str> = report
        .settings
        .iter()
        .map(|setting| setting.key.as_str())
        .collect();
    assert_eq!(keys, ["paper", "lr"]);
    assert!(!report.settings[1].about.is_empty());
}

#[test]
fn a_file_that_is_no_report_is_not_written_over() {
    let dir = folder(&[("mine.html", "<html>mine</html>"), ("empty.html", "")]);
    let of = |name: &str| super::refuse_foreign(&dir.path().join(name));
    let error = of("mine.html").expect_err("refused").to_string();
    assert!(error.contains("--force"), "{error}");
    of("empty.html").expect("nothing is lost");
    of("none.html").expect("nothing is there");
    let path = dir.path().join("a/report.html");
    super::write(&odd(State::Done), &path).expect("written");
    super::refuse_foreign(&path).expect("a report");
    assert!(super::refuse_foreign(dir.path()).is_err());
}
