//! The messages of the program's refusals, in one table that can be read at one sitting.
//!
//! After `$` stands a command line, then the exit code with what is said on the standard error output; `HERE` is the
//! folder in which all are run, which [`prepared`] fills. A message that was changed on purpose is written into the
//! table by `GAN_REFUSALS=write cargo test -p xtask --test main refusals`, and read in the difference.

use crate::program::{bytes, checkpoint, ok, run};
use std::fs;
use std::path::Path;

const TABLE: &str = r#"
$ train
2 error: the following required arguments were not provided:
      <PAPER>
    Usage: cargo xtask train <PAPER>
    For more information, try '--help'.
$ train unknown
2 error: no paper is called "unknown"; known: vanilla dcgan wgan wgan-gp cgan pix2pix cyclegan discogan dualgan progan srgan esrgan
$ train vanila
2 error: no paper is called "vanila"; did you mean "vanilla"?
$ train vanilla --preset best
2 error: invalid value 'best' for '--preset <PRESET>'
      [possible values: demo, paper, smoke]
    For more information, try '--help'.
$ train vanilla --set
2 error: a value is required for '--set <KEY=VALUE>' but none was supplied
    For more information, try '--help'.
$ train vanilla --set lr
2 error: --set lr: expected KEY=VALUE
$ train vanilla --set lrr=1
2 error: --set lrr=1: vanilla has no setting "lrr"; did you mean "lr"?
$ train vanilla --set lr=x
2 error: --set lr=x: invalid type: string "x", expected f64
$ train vanilla --set lr=-1
2 error: --set lr=-1: lr is -1, expected a number above 0
$ train vanilla --set lr=nan
2 error: --set lr=nan: nan is not finite, expected a number
$ train vanilla --set batch=0
2 error: --set batch=0: batch is 0, expected 1 to 16384
$ train vanilla --set z_dim=99999
2 error: --set z_dim=99999: z_dim is 99999, expected 1 to 16384
$ train dcgan --set size=48
2 error: --set size=48: size is 48, expected a power of two from 16 to 1024
$ train cgan --set design=both
2 error: --set design=both: unknown variant `both`, expected `joint` or `split`
$ train wgan --set clip=0
2 error: --set clip=0: clip is 0, expected a number above 0
$ train wgan --set channels=3
2 error: wgan: channels is 3, but the data's pictures have 1
$ train pix2pix --set downs=20
2 error: --set downs=20: downs is 20, expected 5 to 10
$ train cyclegan --set size=30
2 error: --set size=30: size is 30, expected a multiple of 4
$ train vanilla --data mnits
2 error: --data mnits: no such data set and no such folder or file; did you mean "mnist"?
$ train vanilla --data no/such
1 error: no/such: no such folder or file; check --data
$ train vanilla --data none
1 error: HERE/none: holds no files; PNG, JPEG, WebP, BMP, TIFF and GIF are read; name a folder or zip file of pictures, or a folder in MNIST's format
$ train vanilla --data text.txt
1 error: HERE/text.txt: is neither a folder nor a zip file that can be read (invalid Zip archive: Could not find EOCD); name a folder of pictures or a zip file of one
$ train cgan --data few
2 error: cgan learns from pictures with labels, which this data set does not have; choose another with --data
$ train pix2pix --data few
1 error: HERE/few/0.png: is 16 wide and 16 high, whose halves, A on the left and B on the right, are of no usual shape; put pairs into trainA/ and trainB/ by the same names, or squares side by side
$ train dcgan --data hf:org/name
2 error: hf:org/name is fetched from elsewhere, which this program is built without: write cargo xtask-hub in place of cargo xtask (it builds some 170 crates more, once)
$ data get cifar-10
2 error: cifar-10 is fetched from elsewhere, which this program is built without: write cargo xtask-hub in place of cargo xtask (it builds some 170 crates more, once)
$ weights get esrgan
2 error: esrgan is fetched from elsewhere, which this program is built without: write cargo xtask-hub in place of cargo xtask (it builds some 170 crates more, once)
$ train vanilla --init g
2 error: --init g: expected NET=FILE, as in g=x4.pth
$ train vanilla --init g=absent.pth
1 error: absent.pth: cannot be read (No such file or directory (os error 2)); check the name
$ train cyclegan --data mnist
2 error: cyclegan learns from two sets of pictures, A and B, which this data set does not have; choose another with --data
$ train dcgan --data few --set size=32
1 error: HERE/few: holds 3 pictures whose shorter side is below the 32 pixels that this run needs: 0.png (16 wide, 16 high), 1.png (16 wide, 16 high), 2.png (16 wide, 16 high); --enlarge enlarges them, --skip-small leaves them out, --set size=N needs less
$ train srgan --preset smoke --data few --set size=32
1 error: HERE/few: holds 3 pictures whose shorter side is below the 32 pixels that this run needs: 0.png (16 wide, 16 high), 1.png (16 wide, 16 high), 2.png (16 wide, 16 high); --enlarge enlarges them, --skip-small leaves them out, --set size=N needs less
$ train dcgan --data few --set size=32 --skip-small
1 error: HERE/few: has no picture with a shorter side of 32 pixels or more; --enlarge enlarges them, --set size=N needs less
$ train vanilla --data broken
1 error: HERE/broken/1.png: is a damaged PNG picture (unexpected end of file); replace it or take it out of the set
$ train pix2pix --data lonely
1 error: HERE/lonely: holds 1 picture without a partner: trainA/two.png; a pair has one name in trainA/ and trainB/; add the partners or take these out
$ train pix2pix --data unequal
1 error: HERE/unequal/trainB/one.png: is 64x80, its partner trainA/one.png is 64x64; bring both to one size, or take the pair out of the set
$ train vanilla --enlarge --skip-small
2 error: the argument '--enlarge' cannot be used with '--skip-small'
    Usage: cargo xtask train --enlarge <PAPER>
    For more information, try '--help'.
$ train vanilla --steps 0
2 error: --steps 0: a run has at least one iteration
$ train vanilla --steps x
2 error: invalid value 'x' for '--steps <N>': invalid digit found in string
    For more information, try '--help'.
$ train vanilla --steps 18446744073709551616
2 error: invalid value '18446744073709551616' for '--steps <N>': number too large to fit in target type
    For more information, try '--help'.
$ train vanilla --steps 4 --epochs 2
2 error: the argument '--steps <N>' cannot be used with '--epochs <N>'
    Usage: cargo xtask train --steps <N> <PAPER>
    For more information, try '--help'.
$ train vanilla --until 0
2 error: invalid value '0' for '--until <N>': 0 is not in 1..18446744073709551615
    For more information, try '--help'.
$ train vanilla --seed -1
2 error: unexpected argument '-1' found
      tip: to pass '-1' as a value, use '-- -1'
    Usage: cargo xtask train [OPTIONS] <PAPER>
    For more information, try '--help'.
$ train vanilla --seed 18446744073709551615
2 error: invalid value '18446744073709551615' for '--seed <S>': 18446744073709551615 is not in 0..=9223372036854775807
    For more information, try '--help'.
$ train vanilla --keep 0
2 error: invalid value '0' for '--keep <N>': expected a number from 1 on, or all
    For more information, try '--help'.
$ train vanilla --memory x
2 error: invalid value 'x' for '--memory <MIB>': invalid digit found in string
    For more information, try '--help'.
$ train vanilla --threads 0
2 error: invalid value '0' for '--threads <N>': 0 is not in 1..=256
    For more information, try '--help'.
$ train vanilla --device tpu
2 error: --device tpu is not known, expected auto, cpu, cuda or cuda:I
$ train vanilla --out r
1 error: r: holds a run already; add --resume to go on with it, or choose another --out
$ train vanilla --out text.txt
1 error: text.txt: cannot be written (File exists (os error 17)); check the folder and the disk
$ train vanilla --resume
1 error: runs/vanilla: there is no run to go on with; name one with --out, or start one without --resume
$ train vanilla --out r --resume
2 error: r: all 4 iterations are done; add --steps N to train on
$ train vanilla --out r --resume --steps 3
2 error: r: all 4 iterations are done; add --steps N to train on
$ train vanilla --out p --resume --until 1
2 error: --until 1: 2 iterations are done already
$ train vanilla --out none --resume
1 error: none: holds no run (there is no config.toml); check the name; runs are under runs/PAPER
$ train vanilla --out absent --resume
1 error: absent: no such folder; check the name; runs are under runs/PAPER
$ train vanilla --resume absent.safetensors
1 error: absent.safetensors: cannot be read (No such file or directory (os error 2)); check the name
$ train vanilla --resume text.txt
1 error: HERE/..: holds no run (there is no config.toml); check the name; runs are under runs/PAPER
$ train vanilla --resume r/weights/g.safetensors
1 error: r/weights/g.safetensors: is no checkpoint of this program: it lacks the entry `gan`; name a file of the run's checkpoints/; networks alone cannot be trained on
$ train vanilla --out damaged --resume
1 warning: damaged/checkpoints/step-00000004.safetensors: is damaged or no checkpoint of this program (its contents do not match its hash); resume from the checkpoint before it
    error: damaged/checkpoints: no checkpoint in it is intact; start the run again in another folder
$ train vanilla --out newer --resume
1 error: newer/config.toml: was written by a newer version of this program (format is 9, this one reads 1 and 2); use that version, or a newer one
$ train dcgan --out r --resume
1 error: r/config.toml: is a run of vanilla, not of dcgan; name the paper of the run
$ train vanilla --out p --resume --seed 2
2 error: --seed would change a run that has begun; leave it out, or start a new run without --resume
$ train vanilla --out p --resume --set batch=9
2 error: --set batch would change a run that has begun; leave it out, or start a new run without --resume
$ train vanilla --out p --resume --data few
1 error: HERE/few: holds 3 pictures whose shorter side is below the 28 pixels that this run needs: 0.png (16 wide, 16 high), 1.png (16 wide, 16 high), 2.png (16 wide, 16 high); --enlarge enlarges them, --skip-small leaves them out, --set size=N needs less
$ train vanilla --out p --resume --preset paper
2 error: --preset would change a run that has begun; leave it out, or start a new run without --resume
$ train vanilla --out p --resume --stretch
2 error: --stretch and --constant are for another length of the run: add --steps N
$ train vanilla --stretch
2 error: the following required arguments were not provided:
      --resume [<FILE>]
    Usage: cargo xtask train --resume [<FILE>] --stretch <PAPER>
    For more information, try '--help'.
$ train vanilla --config r/config.toml --resume
2 error: the argument '--config <FILE>' cannot be used with '--resume [<FILE>]'
    Usage: cargo xtask train --config <FILE> <PAPER>
    For more information, try '--help'.
$ train vanilla --config r/config.toml --preset demo
2 error: --preset and --config exclude each other: the file holds all settings
$ train vanilla --config absent.toml
1 error: absent.toml: cannot be read (No such file or directory (os error 2)); check the name
$ train vanilla --config text.txt
1 error: text.txt: line 1: key with no value, expected `=`; compare it with the config.toml of another run
$ train dcgan --config r/config.toml
1 error: r/config.toml: belongs to vanilla, not to dcgan; name the paper it belongs to
$ train vanilla --config idle.toml
1 error: idle.toml: asks for 0 iterations, expected at least one; add --steps N
$ sample
2 error: the following required arguments were not provided:
      <RUN>
    Usage: cargo xtask sample <RUN>
    For more information, try '--help'.
$ sample pix2pix
2 error: pix2pix: a paper alone has nothing to sample from, as its demo's generator does not come with the project; train it (cargo xtask train pix2pix) and name the run's folder, or add --weights FILE
$ sample absent
1 error: absent: no such folder; check the name; runs are under runs/PAPER
$ sample none
1 error: none: holds no run (there is no config.toml); check the name; runs are under runs/PAPER
$ sample text.txt
1 error: text.txt: no such folder; check the name; runs are under runs/PAPER
$ sample misspelt
1 error: misspelt/config.toml: no paper is called "vanila"; did you mean "vanilla"?
$ sample damaged
1 warning: damaged/checkpoints/step-00000004.safetensors: is damaged or no checkpoint of this program (its contents do not match its hash); resume from the checkpoint before it
    error: damaged/checkpoints: holds no intact checkpoint; train the run first
$ sample r -n 0
2 error: invalid value '0' for '-n <N>': 0 is not in 1..=4096
    For more information, try '--help'.
$ sample r --class 1
2 error: --class 1: this generator knows no classes
$ sample r --interpolate 1
2 error: invalid value '1' for '--interpolate <N>': 1 is not in 2..=256
    For more information, try '--help'.
$ sample r --input few
2 error: --input: this generator takes noise, not pictures; leave it out
$ sample r --direction b2a
2 error: --direction: this generator takes noise and has one direction
$ sample classes --class 10
2 error: --class 10: this generator has the classes 0 to 9
$ sample pairs
2 error: this generator takes pictures: name one, a folder or a zip file of them with --input
$ sample pairs --input absent.png
1 error: absent.png: cannot be read (No such file or directory (os error 2)); check the name
$ sample pairs --input none
1 error: none: holds no files; PNG, JPEG, WebP, BMP, TIFF and GIF are read; name a folder or zip file of pictures, or a folder in MNIST's format
$ sample pairs --input text.txt
1 error: text.txt: is neither a folder nor a zip file that can be read (invalid Zip archive: Could not find EOCD); name a folder of pictures or a zip file of one
$ sample r --tile 64
2 error: --tile: this generator takes noise, there is nothing to cut into tiles; leave it out
$ sample r --memory 100
2 error: --memory: this generator takes noise, there is nothing to cut into tiles; leave it out
$ sample pairs --input few --tile 64
2 error: --tile: what this generator makes of a pixel depends on the whole picture; leave it out
$ sample pairs --input few --overlap 8
2 error: --overlap: what this generator makes of a pixel depends on the whole picture; leave it out
$ sample pairs --input few --tile 4
2 error: invalid value '4' for '--tile <N>': 4 is not in 8..=65535
    For more information, try '--help'.
$ sample pairs --input few --tile 64 --memory 100
2 error: the argument '--tile <N>' cannot be used with '--memory <MIB>'
    Usage: cargo xtask sample --input <PATH> --tile <N> <RUN>
    For more information, try '--help'.
$ sample pairs --input few --class 1
2 error: -n, --class and --interpolate are for generators that take noise; leave them out
$ sample unknown --weights r/weights/g.safetensors
2 error: no paper is called "unknown"; known: vanilla dcgan wgan wgan-gp cgan pix2pix cyclegan discogan dualgan progan srgan esrgan
$ sample vanilla --weights absent.safetensors
1 error: absent.safetensors: cannot be read (No such file or directory (os error 2)); check the name
$ sample vanilla --weights text.txt
1 error: text.txt: is neither a safetensors file nor one of PyTorch's (.pth, .pt), or is cut short; fetch or export it again
$ sample vanilla --weights cut.safetensors
1 error: cut.safetensors: is neither a safetensors file nor one of PyTorch's (.pth, .pt), or is cut short; fetch or export it again
$ sample vanilla --weights r/weights/d.safetensors
1 error: not a generator of vanilla: r/weights/d.safetensors: gen.0.weight is missing
$ sample dcgan --weights r/weights/g.safetensors
1 error: not a generator of dcgan; its keys are nearest to those of a generator of the original GAN (gen.N) (vanilla; 4 of 4 keys): r/weights/g.safetensors: main.0.weight is missing
$ eval absent
1 error: absent: no such folder; check the name; runs are under runs/PAPER
$ eval none
1 error: none: holds no run (there is no config.toml); check the name; runs are under runs/PAPER
$ eval misspelt
1 error: misspelt/config.toml: no paper is called "vanila"; did you mean "vanilla"?
$ eval r --at 9
2 error: --at 9: no such checkpoint; there are start 4
$ eval r --metrics sdw
2 error: --metrics sdw: r has no such measure; there are swd ms-ssim lenet-fid lenet-kid lenet-precision lenet-recall nearest copied
$ eval r --inception absent.pth
1 error: absent.pth: cannot be read (No such file or directory (os error 2)); check the name
$ report absent
1 error: absent: no such folder; check the name; runs are under runs/PAPER
$ results absent
2 error: no paper is called "absent"; known: vanilla dcgan wgan wgan-gp cgan pix2pix cyclegan discogan dualgan progan srgan esrgan
$ compare vanilla@smoke vanilla@smoke
2 error: vanilla@smoke and vanilla@smoke are the same settings
$ eval r --at soon
2 error: --at soon: no such checkpoint; there are start 4
$ eval r -n 1
2 error: invalid value '1' for '-n <N>': 1 is not in 2..=100000
    For more information, try '--help'.
$ info unknown
2 error: no paper is called "unknown"; known: vanilla dcgan wgan wgan-gp cgan pix2pix cyclegan discogan dualgan progan srgan esrgan
$ data inspect absent
2 error: --data absent: no such data set and no such folder or file; known: mnist emoji outline textured photos mnist-full fashion-mnist cifar-10
$ data inspect text.txt
1 error: text.txt: is neither a folder nor a zip file that can be read (invalid Zip archive: Could not find EOCD); name a folder of pictures or a zip file of one
$ data inspect none
1 error: none: holds no files; PNG, JPEG, WebP, BMP, TIFF and GIF are read; name a folder or zip file of pictures, or a folder in MNIST's format
$ weights inspect absent
1 error: absent: cannot be read (No such file or directory (os error 2)); check the name
$ weights inspect text.txt
1 error: text.txt: is neither a safetensors file nor one of PyTorch's (.pth, .pt), or is cut short; fetch or export it again
$ weights inspect damaged/checkpoints/step-00000004.safetensors
1 error: damaged/checkpoints/step-00000004.safetensors: is damaged or no checkpoint of this program (its contents do not match its hash); resume from the checkpoint before it
$ parity
2 error: the following required arguments were not provided:
      <FILE>...
    Usage: cargo xtask parity <FILE>...
    For more information, try '--help'.
$ parity absent
1 error: absent: cannot be read (No such file or directory (os error 2)); check the name
$ parity text.txt
1 error: text.txt: is not a safetensors file, or is cut short; record it again
$ parity r/weights/g.safetensors
1 error: r/weights/g.safetensors: is no recording of the format gan-reference/1; record it again
$ bench unknown
2 error: no benchmark is called "unknown"; known: vanilla dcgan dcgan-c1 wgan wgan-gp cgan pix2pix cyclegan discogan dualgan progan srgan-mse srgan-vgg54 esrgan
$ bench vanilla --steps 1
2 error: invalid value '1' for '--steps <N>': 1 is not in 2..18446744073709551615
    For more information, try '--help'.
$ bench vanilla --set lrr=1
2 error: --set lrr=1: vanilla has no setting "lrr"; did you mean "lr"?
$ unknown
2 error: unrecognized subcommand 'unknown'
    Usage: cargo xtask [OPTIONS] <COMMAND>
    For more information, try '--help'.
"#;

/// What the commands find: finished runs `r`, `pairs` and `classes`, a paused one `p`, runs that are `damaged`, of a
/// `newer` version or of a `misspelt` paper, settings, folders of pictures, and files that are not what they are named for.
fn prepared(here: &Path) {
    let train = |paper: &str, out: &str, rest: &[&str]| {
        let args = ["train", paper, "--preset", "smoke", "--quiet", "--out", out];
        ok("", here, &[&args[..], rest].concat());
    };
    train("vanilla", "r", &["--steps", "4", "--save-every", "0"]);
    train("vanilla", "p", &["--steps", "4", "--until", "2"]);
    train("pix2pix", "pairs", &["--steps", "2"]);
    train("cgan", "classes", &["--steps", "2"]);
    for (run, name) in [("damaged", "checkpoints"), ("newer", ""), ("misspelt", "")] {
        fs::create_dir_all(here.join(run).join(name)).unwrap();
    }
    let config = fs::read_to_string(here.join("r/config.toml")).unwrap();
    fs::write(here.join("damaged/config.toml"), &config).unwrap();
    let newer = config.replace("format = 2", "format = 9");
    fs::write(here.join("newer/config.toml"), newer).unwrap();
    let misspelt = config.replace("\"vanilla\"", "\"vanila\"");
    fs::write(here.join("misspelt/config.toml"), misspelt).unwrap();
    let idle = config.replace("steps = 4", "steps = 0");
    fs::write(here.join("idle.toml"), idle).unwrap();
    let mut saved = bytes(&checkpoint(&here.join("r"), 4));
    let last = saved.len() - 1;
    saved[last] ^= 1;
    fs::write(checkpoint(&here.join("damaged"), 4), saved).unwrap();

    let picture = |path: &str, width: u32, height: u32| {
        let path = here.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let grey = |x: u32, y: u32| image::Luma([(7 * x + 3 * y) as u8]);
        image::GrayImage::from_fn(width, height, grey)
            .save(path)
            .unwrap();
    };
    for i in 0..3 {
        picture(&format!("few/{i}.png"), 16, 16);
        picture(&format!("broken/{i}.png"), 28, 28);
    }
    let whole = bytes(&here.join("broken/1.png"));
    fs::write(here.join("broken/1.png"), &whole[..whole.len() / 2]).unwrap();
    for (path, width) in [
        ("lonely/trainA/one.png", 64),
        ("lonely/trainA/two.png", 64),
        ("lonely/trainB/one.png", 64),
        ("unequal/trainA/one.png", 64),
        ("unequal/trainB/one.png", 80),
    ] {
        picture(path, width, 64);
    }
    fs::create_dir(here.join("none")).unwrap();
    fs::write(here.join("text.txt"), "text\n").unwrap();
    let weights = bytes(&here.join("r/weights/g.safetensors"));
    fs::write(here.join("cut.safetensors"), &weights[..2000]).unwrap();
}

#[test]
fn every_refusal_says_what_the_table_has() {
    let dir = tempfile::tempdir().unwrap();
    let here = dir.path().canonicalize().unwrap().join("here");
    fs::create_dir(&here).unwrap();
    prepared(&here);
    let mut found = String::from("\n");
    let commands = TABLE.lines().filter_map(|line| line.strip_prefix("$ "));
    for line in commands {
        let args: Vec<&str> = line.split(' ').collect();
        let output = run("", &here, &args);
        let code = output.status.code().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(code != 0 && !said.is_empty(), "{line} is not refused");
        let said = said.replace(here.to_str().unwrap(), "HERE");
        let said = said.replace(here.parent().unwrap().to_str().unwrap(), "HERE/..");
        let said: Vec<&str> = said.lines().filter(|line| !line.is_empty()).collect();
        for line in &said {
            assert!(line.chars().count() <= 300, "{line}");
        }
        found += &format!("$ {line}\n{code} {}\n", said.join("\n    "));
    }
    if std::env::var_os("GAN_REFUSALS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/refusals.rs");
        let source = fs::read_to_string(&path).unwrap();
        fs::write(&path, source.replace(TABLE, &found)).unwrap();
        return;
    }
    for (found, wanted) in found.lines().zip(TABLE.lines()) {
        assert_eq!(found, wanted);
    }
    assert_eq!(found.lines().count(), TABLE.lines().count());
}
