import Foundation
import TestSupport
import Testing

@testable import Configuration
@testable import Foundations

@Suite struct ConfigurationTests {
  static let documented = """
    run: {name: demo, directory: runs, seed: 5}
    data: {train: "d/train-*.h5", validation: "d/validation-*.h5", crop: 224, flip: true,
           order: shuffled,          # or sequential
           sampling: balanced,
           assignment: sample}
    model: {name: xception,
            weights: imagenet.safetensors}   # optional
    augmentation: {method: sfe, probability: 0.5, blocks: 3, max_height: 120, max_width: 120, fill: noise}
    training: {steps: 500000,        # or epochs
               batch_per_rank: 16, accumulate: 1, flooding: 0.04, batch_norm: local, threads: 2,
               optimizer: {name: adam, learning_rate: 0.0002, weight_decay: 0.0},
               schedule: {name: constant, warmup_steps: 0},
               precision: {attention: float32, training: float32}}
    checkpoint: {every_steps: 3000, keep: 3}
    """

  private func parse(_ yaml: String, _ overrides: String...) throws -> Configuration {
    try Configuration.parse(yaml, name: "c.yaml", overrides: overrides)
  }

  /// The error that `yaml` gives.
  private func refusal(_ yaml: String, _ overrides: String...) throws -> ConfigurationError {
    try #require(throws: ConfigurationError.self) {
      try Configuration.parse(yaml, name: "c.yaml", overrides: overrides)
    }
  }

  @Test func theDocumentedConfigurationIsTheDefaultOne() throws {
    var expected = Configuration()
    expected.data.train = ["d/train-*.h5"]
    expected.data.validation = ["d/validation-*.h5"]
    expected.model.weights = "imagenet.safetensors"
    expected = expected.resolved(threads: 2)
    #expect(try parse(Self.documented) == expected)
    #expect(expected.augmentation.maxHeight == 120)
  }

  @Test func onlyTheTrainingShardsAreRequired() throws {
    var expected = Configuration()
    expected.data.train = ["a.h5"]
    #expect(try parse("data: {train: a.h5}") == expected)
    #expect(try parse("", "data.train=a.h5") == expected)
    #expect(try parse("# nothing\nmodel:\n", "data.train=a.h5") == expected)
    let error = try refusal("run: {seed: 1}")
    #expect(error.description.hasPrefix("c.yaml: data.train: is required"))
    #expect(error.exitStatus == .badData)
  }

  @Test func blocksScaleWithTheCrop() {
    var configuration = Configuration()
    configuration.data.crop = 64
    #expect(configuration.resolved(threads: 1).augmentation.maxWidth == 34)
    configuration.augmentation.maxWidth = 7
    let resolved = configuration.resolved(threads: 3)
    #expect(resolved.augmentation.maxWidth == 7)
    #expect(resolved.augmentation.maxHeight == 34)
    #expect(resolved.training.threads == 3)
  }

  @Test func argumentsWinOverTheFile() throws {
    let configuration = try parse(
      Self.documented, "training.optimizer.name=adamw", "training.optimizer.learning_rate=1e-3",
      "data.flip=false", "model.weights=", "data.train=[a.h5, b/*.h5]", "run.name=7",
      "training.batch_per_rank=4")
    #expect(configuration.training.optimizer.name == .adamw)
    #expect(configuration.training.optimizer.learningRate == 1e-3)
    #expect(!configuration.data.flip)
    #expect(configuration.model.weights == nil)
    #expect(configuration.data.train == ["a.h5", "b/*.h5"])
    #expect(configuration.run.name == "7")
    #expect(configuration.training.batchPerRank == 4)
    #expect(configuration.data.crop == 224)
  }

  /// A mark makes another character of what stands before it, of a "=", "[" or "," too.
  @Test func argumentsAreReadByScalars() throws {
    let configuration = try parse(
      Self.documented, "run.directory=\u{301}r",
      "data.train=[\u{301}a.h5,\u{301}b.h5, c\u{301}.h5 ]", "data.test=[]\u{301}.h5")
    #expect(configuration.run.directory == "\u{301}r")
    #expect(configuration.data.train == ["\u{301}a.h5", "\u{301}b.h5", "c\u{301}.h5"])
    #expect(configuration.data.test == ["[]\u{301}.h5"])
  }

  @Test func fakesAreMadeOfRealFacesOnlyBesideAsMany() throws {
    let data = "data: {train: a.h5, self_blended: 0.5"
    #expect(try parse(data + "}").data.selfBlended == 0.5)
    for more in ["sampling: uniform", "order: sequential"] {
      let error = try refusal(data + ", \(more)}")
      #expect(error.key == "data.self_blended", "\(error)")
      #expect(error.description.contains("data.sampling: balanced"), "\(error)")
    }
    #expect(try parse("data: {train: a.h5, self_blended: 0, sampling: uniform}").data.flip)
    #expect(try refusal("data: {train: a.h5, self_blended: 1.5}").key == "data.self_blended")
  }

  @Test func onlyATrainingThatIsEvaluatedCanEndEarly() throws {
    let patience = "evaluation: {patience: 2"
    #expect(
      try parse("data: {train: a.h5, validation: b.h5}\n\(patience)}").evaluation.patience == 2)
    for text in [
      "data: {train: a.h5}\n\(patience)}",
      "data: {train: a.h5, validation: b.h5}\n\(patience), every_steps: 0}",
    ] {
      let error = try refusal(text)
      #expect(error.key == "evaluation.patience", "\(error)")
      #expect(error.description.contains("evaluation.every_steps"), "\(error)")
    }
  }

  @Test func stepsAndEpochsExcludeEachOther() throws {
    let data = "data: {train: a.h5}\n"
    #expect(try refusal(data + "training: {steps: 3, epochs: 2}").key == "training.epochs")
    let epochs = try parse(data + "training: {epochs: 2}").training
    #expect(epochs.epochs == 2 && epochs.steps == nil)
    #expect(epochs.totalSteps(stepsPerEpoch: 10) == 20)
    let steps = try parse(data + "training: {epochs: 2}", "training.steps=9").training
    #expect(steps.steps == 9 && steps.epochs == nil)
    #expect(steps.totalSteps(stepsPerEpoch: 10) == 9)
    #expect(try parse(data + "training: {steps: null}").training.steps == 500_000)
  }

  /// YAML, the place and key that the message begins with, and words that it has.
  static let mistakes: [(yaml: String, start: String, words: String)] = [
    ("trainning: {steps: 1}", "c.yaml:1: trainning: unknown key", "'training'?"),
    (
      "run:\n  name: x\ntraining:\n  bach_per_rank: 3", "c.yaml:4: training.bach_per_rank: unknown",
      "did you mean 'training.batch_per_rank'?"
    ),
    (
      "training: {learning_rate: 1}", "c.yaml:1: training.learning_rate: unknown",
      "'training.optimizer.learning_rate'?"
    ),
    (
      "training:\n  optimizer:\n    nmae: sgd", "c.yaml:3: training.optimizer.nmae",
      "optimizer.name'?"
    ),
    ("qqqqqqqqqq: 1", "c.yaml:1: qqqqqqqqqq: unknown key", "known here: run:, data:"),
    (
      "run: {zzzzzzzz: 1}", "c.yaml:1: run.zzzzzzzz: unknown key",
      "known here: name, directory, seed"
    ),
    ("training: {steps: 1.5}", "c.yaml:1: training.steps", "a whole number from 1"),
    ("training: {steps: \"5\"}", "c.yaml:1: training.steps", "not the text '5'"),
    ("training: {steps: 0}", "c.yaml:1: training.steps", "not 0"),
    ("training: {steps: [1]}", "c.yaml:1: training.steps", "not a list"),
    ("training: {steps: {a: 1}}", "c.yaml:1: training.steps", "not a section"),
    ("training: {batch_per_rank: null}", "c.yaml:1: training.batch_per_rank", "not null"),
    ("training: {batch_per_rank: 99999999999999999999}", "c.yaml:1: training.batch_per", "whole"),
    ("training: 7", "c.yaml:1: training: must be a section", "steps, epochs"),
    ("training: {optimizer: adam}", "c.yaml:1: training.optimizer: must be", "name, learning_rate"),
    ("- a\n- b", "c.yaml:1: must be a section", "run:"),
    ("7", "c.yaml:1: must be a section", "run:"),
    ("data: {flip: yes}", "c.yaml:1: data.flip", "true or false"),
    ("data: {order: suffled}", "c.yaml:1: data.order", "one of shuffled, sequential"),
    ("data: {order: suffled}", "c.yaml:1: data.order", "'shuffled'?"),
    ("data: {train: [a, [b]]}", "c.yaml:1: data.train", "a list of texts"),
    ("data: {train: \"\"}", "c.yaml:1: data.train", "must not be empty"),
    ("augmentation: {probability: 1.01}", "c.yaml:1: augmentation.probability", "at most 1.0"),
    ("augmentation: {probability: -0.01}", "c.yaml:1: augmentation.probability", "at least 0.0"),
    ("augmentation: {probability: .nan}", "c.yaml:1: augmentation.probability", "a number"),
    ("augmentation: {probability: 0x1}", "c.yaml:1: augmentation.probability", "a number"),
    ("training: {optimizer: {learning_rate: 0}}", "c.yaml:1: training.optimizer.le", "above 0"),
    ("training: {optimizer: {beta1: 1}}", "c.yaml:1: training.optimizer.beta1", "below 1"),
    ("training: {flooding: .inf}", "c.yaml:1: training.flooding", "a number"),
    ("training: {label_smoothing: 1.1}", "c.yaml:1: training.label_smoothing", "below 1"),
    ("model: {dropout: 1}", "c.yaml:1: model.dropout", "below 1"),
    ("model: {dropout: -0.1}", "c.yaml:1: model.dropout", "at least 0.0"),
    ("model: {drop_path: 1}", "c.yaml:1: model.drop_path", "below 1"),
    ("model: {droppath: 0}", "c.yaml:1: model.droppath: unknown key", "'model.drop_path'?"),
    (
      "training: {schedule: {minimum: 1}}", "c.yaml:1: training.schedule.minimum",
      "above the learning rate"
    ),
    (
      "augmentation: {random_erasing: {min_area: 0.5}}",
      "c.yaml:1: augmentation.random_erasing.min_area", "above max_area"
    ),
    ("run: {name: a/b}", "c.yaml:1: run.name", "folder's name"),
    ("run: {name: ..}", "c.yaml:1: run.name", "folder's name"),
    ("run: {name: \"\\e[31m\"}", "c.yaml:1: run.name", "folder's name"),
    ("run: {name: ~}", "c.yaml:1: run.name", "must be text, not null"),
    ("run: {name: a\nname: b", "c.yaml:2", "not valid YAML"),
    ("run: {seed: 1}\nrun: {seed: 2}", "c.yaml:1: run", "appears twice"),
    ("run: {seed: 1}\n---\nrun: {seed: 2}", "c.yaml:2", "not valid YAML"),
    ("run: {[1]: 2}", "c.yaml:1: run", "not a text"),
    ("run: {seed: *x}", "c.yaml:1", "undefined alias"),
    ("\u{1}", "c.yaml", "not valid YAML"),
    ("run: {\"a\\e[0mb\": 1}", "c.yaml:1: run.a\\u{1b}[0mb", "unknown key"),
    // Characters that look like others.
    ("data:\n\tcrop: 64", "c.yaml:2: is not valid YAML", "indented by a tab; write spaces"),
    ("data:\n  crop: 64\n \tflip: true", "c.yaml:3: is not valid", "indented by a tab"),
    (
      "data:\n\u{A0}\u{A0}crop: 64", "c.yaml:2: ", "unknown key: there is a no-break space (U+00A0)"
    ),
    ("data:\n  crop:\u{A0}64\n", "c.yaml:2: ", "no-break space (U+00A0); write a plain one"),
    ("data:\n  crop:\u{A0}64\n  flip: true", "c.yaml:2: is not valid", "no-break space (U+00A0)"),
    ("data:\n  crop: 64\u{A0}", "c.yaml:2: data.crop: must be a whole", "no-break space (U+00A0)"),
    ("run: {directory: \u{3000}r}", "c.yaml:1: run.directory", "an odd space (U+3000)"),
    ("data\u{FF1A}\n  crop: 64", "c.yaml:1: is not valid", "a full-width colon (U+FF1A)"),
    (
      "run: {directory: \u{201C}r\u{201D}}", "c.yaml:1: run.directory: is '\u{201C}r", "typographic"
    ),
    (
      "data: {validation: [\u{201C}v.h5\u{201D}]}", "c.yaml:1: data.validation", "typographic quote"
    ),
    (
      "data:\n  \u{2018}crop\u{2019}: 64", "c.yaml:2: data.", "typographic quote \u{2018}; write \""
    ),
    ("run: {seed: 1}\n\u{FEFF}data: {crop: 64}", "c.yaml:2: is not valid", "byte-order mark"),
    ("run: {seed: 1}\n\u{0}", "c.yaml:2: is not valid YAML", "control character (U+0000)"),
    // Values that begin with a sign of YAML's.
    (
      "data:\n  test: *.h5", "c.yaml:2: is not valid",
      "is an alias in YAML; put it in quotes: \"*.h5\""
    ),
    ("data:\n  test:\n    - a\n    - *.h5", "c.yaml:4: is not valid", "in quotes: \"*.h5\""),
    ("data: {test: [a, **/b.h5]}", "c.yaml:1: is not valid", "in quotes: \"**/b.h5\""),
    ("data: {test: *test}", "c.yaml:1: is not valid", "begins with '*' is an alias"),
    ("data:\n  test: &a.h5", "c.yaml:2: is not valid", "is an anchor in YAML"),
    ("data: {test: &t}", "c.yaml:1: data.test: begins with &", "put the value in quotes"),
    ("data: {test: !t a.h5}", "c.yaml:1: data.test: begins with !", "put the value in quotes"),
    ("data: {test: [!t a.h5]}", "c.yaml:1: data.test: begins with !", "put the value in quotes"),
    ("data:\n  test: %t/a.h5", "c.yaml:2: is not valid", "'%' is not allowed in YAML"),
    ("data:\n  test: @a.h5", "c.yaml:2: is not valid", "in quotes: \"@a.h5\""),
    ("data:\n  test: `pwd`/a.h5", "c.yaml:2: is not valid", "'`' is not allowed"),
    ("data:\n  test: {a,b}/*.h5", "c.yaml:2: is not valid", "in quotes: \"{a,b}/*.h5\""),
    ("data:\n  test: [ab]*.h5\n  crop: 64", "c.yaml:2: is not valid", "in quotes: \"[ab]*.h5\""),
    ("data:\n  test: >a.h5", "c.yaml:2: is not valid", "a text of several lines"),
    ("data:\n  test: \"a.h5\n  crop: 64", "c.yaml:2: is not valid", "begins here and does not end"),
    ("run:\n  directory: \"C:\\data\"", "c.yaml:2: is not valid", "backslash in double quotes"),
    // A colon without a space, or none.
    (
      "training:\n  steps:100", "c.yaml:2: training: must be", "space behind it: write 'steps: 100'"
    ),
    ("training:\n  steps:100\n  threads: 4", "c.yaml:2: is not valid", "write 'steps: 100'"),
    ("training:\n  threads: 4\n  steps:100", "c.yaml:3: is not valid", "write 'steps: 100'"),
    ("training:\n  steps:100\n  threads:4", "c.yaml:2: training: must", "write 'steps: 100'"),
    ("training: {steps:100}", "c.yaml:1: training.steps:100: unknown", "write 'steps: 100'"),
    ("training:{steps: 100}", "c.yaml:1: training:{steps: unknown key", "the colon needs a space"),
    ("training:\n  steps = 100", "c.yaml:2: training: must", "write 'steps: 100'"),
    ("training\n  steps: 100", "c.yaml:1: is not valid", "'training' needs a colon behind it"),
    // What is no mapping, or too many.
    ("- run:\n    seed: 1", "c.yaml:1: must be a section", "it is a list: write the keys without"),
    ("hello", "c.yaml:1: must be a section", "it is the text 'hello'"),
    ("run: {seed: 1}\n---\n", "c.yaml:2: is not valid", "another document begins here"),
    ("run: {seed: 1}\n...\ndata: {}", "c.yaml:3: is not valid", "behind the end of the document"),
    (
      "run:\n  seed: 1\n  name: a\n  seed: 2", "c.yaml:2: seed: appears twice", "here and on line 4"
    ),
    ("run:\n  seed: 1\ndata:\n  crop: 64\nrun:\n", "c.yaml:1: run: appears twice", "on line 5"),
    ("run:\r\n  seed: 1\r\n  seed: 2\r\n", "c.yaml:2: seed: appears twice", "here and on line 3"),
    ("run:\r\n  seed: 1\r\n  sed: 2\r\n", "c.yaml:3: run.sed: unknown key", "'run.seed'?"),
    ("run:\n  seed: 1\n name: a", "c.yaml:3: is not valid", "indentation fits no line above"),
    // Numbers and words.
    ("training: {steps: 2_000}", "c.yaml:1: training.steps", "'2_000'; write 2000"),
    ("training:\n  steps: 2,000", "c.yaml:2: training.steps", "'2,000'; write 2000"),
    ("training: {steps: 1e3}", "c.yaml:1: training.steps", "not 1000.0; write 1000"),
    ("training: {steps: 100k}", "c.yaml:1: training.steps", "write 100000"),
    ("training: {steps: \"5\"}", "c.yaml:1: training.steps", "take its quotes away"),
    ("training: {threads: auto}", "c.yaml:1: training.threads", "write null"),
    ("run: {seed: 017}", "c.yaml:1: run.seed", "write 17, or 15 if that is meant"),
    ("run: {seed: 0o17}", "c.yaml:1: run.seed", "write 15"),
    ("data: {crop: 64px}", "c.yaml:1: data.crop", "write 64"),
    ("data: {mean: \u{2212}1}", "c.yaml:1: data.mean", "write -1"),
    ("augmentation: {probability: 50%}", "c.yaml:1: augmentation.probability", "write 0.5"),
    ("augmentation:\n  probability: 0,5", "c.yaml:2: augmentation.probability", "write 0.5"),
    ("data: {flip: yes}", "c.yaml:1: data.flip", "write true"),
    ("data: {flip: Off}", "c.yaml:1: data.flip", "write false"),
    ("data: {flip: \"true\"}", "c.yaml:1: data.flip", "take its quotes away"),
    ("model: {weights: None}", "c.yaml:1: model.weights: is 'None'", "write null"),
    // Paths.
    ("run: {directory: ~nobody/r}", "c.yaml:1: run.directory: '~nobody' is not", "'./~nobody'"),
    ("model: {weights: \"${RFM_UNSET}/w\"}", "c.yaml:1: model.weights", "RFM_UNSET is not set"),
    (
      "data: {test: [a, \"$RFM_UNSET/t\"]}", "c.yaml:1: data.test", "RFM_UNSET is not set; a dollar"
    ),
    ("data: {test: \"${A:-b}\"}", "c.yaml:1: data.test: '${' begins no variable", "written $$"),
  ]

  @Test(arguments: mistakes.indices)
  func aMistakeIsToldWithPathLineAndTheNearestKey(_ index: Int) throws {
    let (yaml, start, words) = Self.mistakes[index]
    let error = try yaml.contains("train:") ? refusal(yaml) : refusal(yaml, "data.train=a.h5")
    #expect(error.description.hasPrefix(start), "\(error)")
    #expect(error.description.contains(words), "\(error)")
    #expect(!error.description.contains("\n") && !error.description.contains("\u{1b}"))
    #expect(error.exitStatus == .badData)
  }

  @Test func aByteOrderMarkAndOtherLineEndsAreAccepted() throws {
    let expected = try parse("data:\n  train: a.h5\n  crop: 64\n")
    #expect(try parse("\u{FEFF}data:\n  train: a.h5\n  crop: 64\n") == expected)
    #expect(try parse("data:\r\n  train: a.h5\r\n  crop: 64\r\n") == expected)
    #expect(try parse("\u{FEFF}data:\r\n  train: a.h5\r\n  crop: 64\r\n") == expected)
    #expect(try parse("---\ndata:\n  train:\ta.h5\n  crop: 64\t# wide\n...\n") == expected)
    #expect(try parse("data: {train: \"*.h5\"}").data.train == ["*.h5"])
    #expect(try parse("data: {train: d/*.h5}\nrun: {seed: 0x10}").run.seed == 16)
    #expect(try parse("data: {train: \"none\", test: 'None'}").data.test == ["None"])
  }

  @Test func homeAndVariablesInPathsAreReplaced() throws {
    let variables = ["HOME": "/home/a", "DATA": "/d", "_x1": "y", "PRICE": "5$DATA", "EMPTY": ""]
    func read(_ yaml: String, _ overrides: String...) throws -> Configuration {
      try Configuration.parse(yaml, name: "c.yaml", overrides: overrides) { variables[$0] }
    }
    let configuration = try read(
      """
      run: {directory: "~/runs", name: demo}
      data:
        train: ["${DATA}/*.h5", "$DATA/$_x1.h5", ~/t.h5]
        validation: a~b/~c/$1/$/x$$DATA.h5
        test: ./~x
        exclude_methods: ["$DATA"]
      model: {weights: "~"}
      """, "data.test=~/${_x1}z/[$]a.h5")
    #expect(configuration.run.folder == "/home/a/runs/demo")
    #expect(configuration.data.train == ["/d/*.h5", "/d/y.h5", "/home/a/t.h5"])
    #expect(configuration.data.validation == ["a~b/~c/$1/$/x$DATA.h5"])
    #expect(configuration.data.test == ["/home/a/yz/[$]a.h5"])
    #expect(configuration.data.excludeMethods == ["$DATA"])
    #expect(configuration.model.weights == "/home/a")
    // What a run's folder keeps is read as it is, wherever and with whatever variables.
    #expect(
      try Configuration.parse(configuration.yaml, name: "c.yaml") { _ in nil } == configuration)
    // Nor is a variable's value replaced a second time.
    let price = try read("data: {train: \"${PRICE}\"}")
    #expect(price.data.train == ["5$DATA"])
    #expect(try Configuration.parse(price.yaml, name: "c.yaml") { _ in nil } == price)
    for (path, words) in [
      ("${EMPTY}/x", "EMPTY is empty"), ("${NO}/x", "NO is not set"), ("$NO", "NO is not set"),
      ("${DATA", "begins no variable"), ("${}", "begins no variable"), ("~a", "not expanded"),
    ] {
      let error = try #require(throws: ConfigurationError.self) {
        try read("data: {train: a}", "run.directory=\(path)")
      }
      #expect(error.description.hasPrefix("--set run.directory=\(path): run.directory: "))
      #expect(error.description.contains(words), "\(error)")
    }
    let homeless = try #require(throws: ConfigurationError.self) {
      try Configuration.parse("data: {train: ~/a}", name: "c.yaml") { _ in nil }
    }
    #expect(homeless.description == "c.yaml:1: data.train: the variable HOME is not set")
    let tilde = try #require(throws: ConfigurationError.self) {
      try Configuration.parse("data: {train: $D/a}", name: "c.yaml") { _ in "~/d" }
    }
    #expect(tilde.description.contains("the variable D is '~/d', whose '~' no shell expanded"))
  }

  @Test func aFileThatIsThereUnderTheVeryNameIsMeant() throws {
    let folder = TemporaryFolder()
    let name = folder("a$RFM_UNSET.jpg")
    #expect(throws: PathExpansion.Failure.self) { try PathExpansion.expandUnlessThere(name) }
    try Data().write(to: URL(fileURLWithPath: name))
    #expect(try PathExpansion.expandUnlessThere(name) == name)
    #expect(throws: PathExpansion.Failure.self) { try PathExpansion.expand(name) }
    #expect(try PathExpansion.expandUnlessThere("-") == "-")
    #expect(try PathExpansion.expandUnlessThere("~/x") { _ in "/h" } == "/h/x")
  }

  @Test func mistakesInArgumentsNameTheArgument() throws {
    #expect(
      try refusal("", "training.stps=4").description
        == "--set training.stps=4: training.stps: unknown key; did you mean 'training.steps'?")
    #expect(try refusal("", "training=4").description.contains("is a section"))
    #expect(try refusal("", "training.steps=x").key == "training.steps")
    #expect(try refusal("", "training.steps").exitStatus == .usage)
    #expect(try refusal("", "=4").exitStatus == .usage)
    #expect(try refusal("", "training.steps=1", "training.epochs=1").key == "training.epochs")
  }

  @Test func deepNestingAndTowersOfAliasesEndQuickly() throws {
    #expect(throws: ConfigurationError.self) { try parse(String(repeating: "[", count: 200_000)) }
    #expect(throws: ConfigurationError.self) {
      try parse(String(repeating: "{a: ", count: 200_000))
    }
    #expect(throws: ConfigurationError.self) { try parse(String(repeating: "- ", count: 200_000)) }
    var tower = "a0: &a0 [x, x]\n"
    for level in 1...60 { tower += "a\(level): &a\(level) [*a\(level - 1), *a\(level - 1)]\n" }
    #expect(try refusal(tower + "? *a60\n: 1").description.contains("aliases"))
  }

  @Test func aFileThatIsNoConfigurationIsRefused() throws {
    let folder = TemporaryFolder()
    #expect(throws: (any Error).self) { try Configuration.load(path: folder("missing")) }
    for (bytes, words) in [
      ([0xFF, 0xFE, 0x64, 0x00], ": is UTF-16 text; save it as UTF-8"),
      ([0xFE, 0xFF, 0x00, 0x64], ": is UTF-16 text; save it as UTF-8"),
      (Array("# a\n# caf".utf8) + [0xE9, 0x0A], ":2: is not UTF-8 text; save it as UTF-8"),
    ] as [([UInt8], String)] {
      try Data(bytes).write(to: URL(fileURLWithPath: folder("binary")))
      let error = try #require(throws: ConfigurationError.self) {
        try Configuration.load(path: folder("binary"))
      }
      #expect(error.description == folder("binary") + words)
    }
    try Data(count: 2 << 20).write(to: URL(fileURLWithPath: folder("large")))
    #expect(throws: ConfigurationError.self) { try Configuration.load(path: folder("large")) }
    try Data(Self.documented.utf8).write(to: URL(fileURLWithPath: folder("good")))
    #expect(try Configuration.load(path: folder("good")) == parse(Self.documented))
  }

  @Test func whatIsWrittenReadsBackTheSame() throws {
    var configuration = try parse(Self.documented)
    #expect(try parse(configuration.yaml) == configuration)
    configuration.data.train = ["a: b", "null", "*.h5", "1e5", "\"'\\ ü\n\u{1b}", "- x", ""]
    configuration.data.train.removeLast()
    configuration.data.validation = []
    configuration.model.weights = nil
    configuration.run.name = "1e5"
    configuration.run.directory = "no"
    configuration.training.steps = nil
    configuration.training.epochs = 3
    configuration.training.optimizer.learningRate = 1e-5
    configuration.training.optimizer.epsilon = 1.234567890123e-12
    configuration.augmentation.maxHeight = nil
    #expect(try parse(configuration.yaml) == configuration)
  }

  @Test func everyKeyIsWrittenDocumentedAndAcceptsItsOwnDefault() throws {
    let defaults = Configuration()
    let paths = Configuration.keys.map(\.path)
    #expect(Set(paths).count == paths.count)
    for key in Configuration.keys {
      #expect(throws: Never.self) { try key.accept(key.get(defaults)) }
      #expect(key.documentation.hasSuffix(".") && !key.documentation.contains("\n"))
      #expect(Configuration.help.contains("  \(key.name): \(key.get(defaults).yaml)"))
      #expect(Configuration.markdown.contains("| `\(key.name)` | `\(key.get(defaults).yaml)` |"))
    }
  }

  /// The page of the documentation is written from the table: with RFM_UPDATE_DOCUMENTATION=1 this
  /// test writes it anew.
  @Test func theDocumentationPageIsUpToDate() throws {
    let page = URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Sources/Configuration/Configuration.docc/Settings.md")
    let start = "## run\n"
    let text = try String(contentsOf: page, encoding: .utf8)
    let introduction = text.components(separatedBy: start)[0]
    let expected = introduction + Configuration.markdown
    if ProcessInfo.processInfo.environment["RFM_UPDATE_DOCUMENTATION"] == "1" {
      try Data(expected.utf8).write(to: page)
    } else {
      #expect(text == expected, "run this test with RFM_UPDATE_DOCUMENTATION=1")
    }
  }

  @Test func channelsTakeANumberOrThree() throws {
    let data = "data: {train: a.h5"
    let colours = try parse(data + ", mean: [0.485, 0.456, 0.406], std: 1}").data
    #expect(colours.mean.all == [0.485, 0.456, 0.406] && colours.std == 1)
    for text in ["0.485,0.456,0.406", "[0.485, 0.456, 0.406]"] {
      #expect(try parse(data + "}", "data.mean=\(text)").data.mean == colours.mean)
    }
    // The same for all is one number, in files and in digests.
    let same = try parse(data + ", std: [0.25, 0.25, 0.25]}")
    #expect(try same == parse(data + "}") && same.digest == parse(data + "}").digest)
    #expect(same.yaml.contains("\n  std: 0.25\n"))
    var configuration = same
    configuration.data.mean = colours.mean
    #expect(try parse(configuration.yaml) == configuration)
    for (yaml, words) in [
      ("mean: [0.5, 0.5]", "three of them"), ("std: [0.5, 0, 0.5]", "above 0"),
      ("std: 1e-300", "above 0"), ("mean: [a, b, c]", "three of them"), ("mean: red", "a number"),
      ("mean: [[1], 2, 3]", "three of them"), ("mean: []", "three of them"),
    ] {
      let error = try refusal("data: {train: a.h5, \(yaml)}")
      #expect(error.description.contains(words), "\(yaml): \(error)")
    }
  }

  @Test func rangesTakeTwoNumbersOrOne() throws {
    let read = try parse(
      """
      data: {train: a}
      augmentation:
        jpeg: {probability: 0.5, quality: [40, 90]}
        affine: {probability: 0.3, rotation: [-5.5, 5], scale: 1.2}
      """, "augmentation.noise.sigma=2,3.5", "augmentation.hue.turn=[-0.1, 0.1]",
      "augmentation.coarse_dropout.holes=2")
    let settings = read.imageAugmentation
    #expect(settings["jpeg"].probability == 0.5 && settings["jpeg"][range: "quality"] == 40...90)
    #expect(settings["affine"][range: "rotation"] == -5.5...5)
    #expect(settings["affine"][range: "scale"] == 1.2...1.2)
    #expect(settings["noise"][range: "sigma"] == 2...3.5)
    #expect(settings["hue"][range: "turn"] == -0.1...0.1)
    #expect(settings["coarse_dropout"][range: "holes"] == 2...2)
    #expect(settings["grey"].probability == 0)
    #expect(try parse(read.yaml) == read)
    #expect(read.yaml.contains("    quality: [40.0, 90.0]\n") && read.yaml.contains("scale: 1.2\n"))
    for (yaml, words) in [
      ("jpeg: {quality: [90, 40]}", "[low, high], whole numbers from 1 to 100"),
      ("jpeg: {quality: [40.5, 90]}", "whole numbers"), ("jpeg: {quality: 40.5}", "whole"),
      ("jpeg: {quality: [40, 101]}", "to 100"), ("jpeg: {quality: []}", "[low, high]"),
      ("jpeg: {quality: [1, 2, 3]}", "or one for both"), ("jpeg: {quality: [a, b]}", "numbers"),
      ("jpeg: {quality: low}", "not the text 'low'"), ("jpeg: {qualty: 3}", "jpeg.quality'?"),
      ("jpeg: 40", "must be a section with keys, probability, quality"),
      ("jepg: {quality: 40}", "'augmentation.jpeg'?"),
    ] {
      let error = try refusal("data: {train: a.h5}\naugmentation: {\(yaml)}")
      #expect(error.description.contains(words), "\(yaml): \(error)")
    }
    let error = try refusal("data: {train: a}", "augmentation.jpeg.quality=90,40")
    #expect(error.description.contains("[low, high]"), "\(error)")
    // The same in both ways of writing it, and others give another training.
    let one = try parse("data: {train: a}\naugmentation: {noise: {sigma: [4, 4]}}")
    #expect(one.digest == (try parse("data: {train: a}", "augmentation.noise.sigma=4")).digest)
    #expect(one.digest != (try parse("data: {train: a}")).digest)
  }

  @Test func branchesAreLeftOutWhereThereAreSome() throws {
    for name in ["resnet18", "efficientnet-b4", "mobilenet-v2", "convnext-tiny"] {
      let read = try parse(
        "data: {train: a}", "model.name=\(name)", "model.drop_path=0.2", "model.dropout=0.3",
        "training.label_smoothing=0.1")
      #expect(read.model.dropPath == 0.2 && read.model.dropout == 0.3)
      #expect(read.training.labelSmoothing == 0.1)
    }
    for (name, crop) in [("xception", 224), ("vgg16-bn", 224), ("meso-inception4", 256)] {
      let error = try refusal(
        "data: {train: a, crop: \(crop)}\nmodel: {name: \(name), drop_path: 0.2}")
      #expect(error.key == "model.drop_path")
      #expect(error.description.contains("\(name) has no residual branches"), "\(error)")
    }
    // With other values a run would end with other weights.
    let other = try parse("data: {train: a}", "model.dropout=0.3", "training.label_smoothing=0.1")
    let differences = other.differences(from: try parse("data: {train: a}"))
    #expect(differences.map(\.key) == ["model.dropout", "training.label_smoothing"])
    #expect(differences.allSatisfy { !$0.isHarmless })
  }

  @Test func whereANetworkEndsIsSaidByItsStages() throws {
    let read = try parse(
      "data: {train: a}\nmodel: {name: xception, truncate: block2, head: patch}")
    #expect(read.model.form.description == "xception up to block2 with a patch head")
    #expect(try parse(read.yaml) == read)
    #expect(try parse("data: {train: a}", "model.head=linear").model.form.isWhole)
    for (settings, key, words) in [
      ("name: resnet18, truncate: layer5", "model.truncate", "has layer1, layer2, layer3, layer4"),
      ("name: resnet18, truncate: layr2", "model.truncate", "did you mean 'layer2'?"),
      ("name: convnext-tiny, head: patch", "model.head", "stages.0, stages.1"),
      ("head: patch, dropout: 0.1", "model.dropout", "a patch head has none"),
      ("truncate: block2, drop_path: 0.1", "model.drop_path", "xception up to block2 has no"),
    ] {
      let error = try refusal("data: {train: a}\nmodel: {\(settings)}")
      #expect(error.key == key && error.description.contains(words), "\(error)")
    }
    // Every network has class activation maps where it is cut.
    _ = try parse(
      "data: {train: a}", "model.name=convnext-tiny", "model.truncate=stages.1",
      "augmentation.method=ae")
  }

  @Test func ratesOfStagesAreThoseOfTheNetworkInItsOrder() throws {
    let read = try parse(
      "data: {train: a}\ntraining: {freeze: block1, optimizer: {stage_rates: [block3=0.1, block7=0.5]}}"
    )
    #expect(read.stageRates.map(\.stage) == ["block1", "block3", "block7"])
    #expect(read.stageRates.map(\.rate) == [0, 0.1, 0.5])
    #expect(try parse(read.yaml) == read && Configuration().stageRates.isEmpty)
    #expect(
      try parse("data: {train: a}", "training.optimizer.stage_rates=[block3=0.1,block7=0.5]")
        .training.optimizer.stageRates == ["block3=0.1", "block7=0.5"])
    let (freeze, rates) = ("training.freeze", "training.optimizer.stage_rates")
    for (settings, key, words) in [
      ("freeze: blck3", freeze, "did you mean 'block3'?"),
      ("freeze: layer1", freeze, "no stage of xception: it has block1"),
      ("optimizer: {stage_rates: block3}", rates, "write STAGE=NUMBER, such as block1=0.1"),
      ("optimizer: {stage_rates: block3=0}", rates, "STAGE=NUMBER"),
      ("optimizer: {stage_rates: block3=nan}", rates, "STAGE=NUMBER"),
      ("optimizer: {stage_rates: [block3=1, block2=1]}", rates, "block2 behind block3"),
      ("optimizer: {stage_rates: [block3=1, block3=2]}", rates, "each once"),
      ("freeze: block4, optimizer: {stage_rates: block2=0.5}", rates, "behind training.freeze"),
    ] {
      let error = try refusal("data: {train: a}\ntraining: {\(settings)}")
      #expect(error.key == key && error.description.contains(words), "\(error)")
    }
    let short = try refusal(
      "data: {train: a}", "model.truncate=block2", "training.freeze=block3")
    #expect(short.description.contains("it has block1, block2"), "\(short)")
  }

  @Test func theClassOrderIsATextOrAListOrNull() throws {
    for text in ["\"fake,real\"", "[fake, real]"] {
      #expect(try parse("data: {train: a}\nmodel: {classes: \(text)}").model.classes == .fakeReal)
    }
    #expect(try parse("data: {train: a}", "model.classes=fake,real").model.classes == .fakeReal)
    #expect(try parse("data: {train: a}\nmodel: {classes: null, head: ~}").model.classes == nil)
    #expect(try parse("data: {train: a}", "model.head=sigmoid").model.head == .sigmoid)
    for yaml in ["classes: fake", "classes: [fake]", "classes: [fake, [real]]", "head: one"] {
      #expect(try refusal("data: {train: a}\nmodel: {\(yaml)}").key?.hasPrefix("model.") == true)
    }
  }

  /// Every value but the default must arrive in a place of its own.
  @Test func everyKeySetsItsOwnValueAndNoOther() throws {
    var start = Configuration()
    start.data.train = ["t"]
    for key in Configuration.keys {
      let other: ConfigurationValue
      switch (key.kind, key.get(start)) {
      case (.text, _): other = .text("another")
      case (.texts, _): other = .list(["x", "y"])
      case (.boolean, .boolean(let value)): other = .boolean(!value)
      case (.integer(let range), let value):
        other = .integer(
          value == .integer(range.lowerBound) ? range.lowerBound + 1 : range.lowerBound)
      case (.number(let range), let value):
        other = .number(
          value == .number(range.upperBound) ? range.upperBound / 2 : range.upperBound)
      case (.channels, _): other = .numbers([0.125, 0.25, 0.5])
      case (.range(let range, _), _): other = .numbers([range.lowerBound, range.upperBound])
      case (.choice(let names), let value):
        other = .text(value == .text(names[0]) ? names[1] : names[0])
      default:
        Issue.record("\(key.path) has a value of another kind")
        continue
      }
      var changed = start
      key.set(&changed, try key.accept(other))
      let differences = changed.differences(from: start).map(\.key)
      #expect(differences.filter { $0 != "training.steps" || key.path == $0 } == [key.path])
      #expect((changed.digest != start.digest) == (key.effect == .result))
    }
  }

  @Test func differencesSayWhatChangedAndWhetherItMatters() throws {
    let before = try parse(Self.documented)
    let after = try parse(Self.documented, "training.batch_per_rank=8", "checkpoint.keep=5")
    #expect(
      after.differences(from: before).map(\.description) == [
        "training.batch_per_rank: 16 before, 8 now", "checkpoint.keep: 3 before, 5 now",
      ])
    #expect(after.differences(from: before).map(\.isHarmless) == [false, true])
  }

  @Test func theLengthOfARunMattersOnlyWhereTheLearningRateIsBoundToIt() throws {
    for (schedule, isHarmless) in [("constant", true), ("step", true), ("cosine", false)] {
      let before = try parse(Self.documented, "training.schedule.name=\(schedule)")
      let after = try parse(
        Self.documented, "training.schedule.name=\(schedule)", "training.steps=7")
      #expect(after.differences(from: before).map(\.isHarmless) == [isHarmless])
      #expect((after.digest == before.digest) == isHarmless)
    }
  }

  @Test func distancesCountExchangedNeighboursOnce() {
    #expect(editDistance("", "abc") == 3)
    #expect(editDistance("abc", "abc") == 0)
    #expect(editDistance("steps", "stpes") == 1)
    #expect(editDistance("kitten", "sitting") == 3)
    #expect(nearest(to: "shufled", among: ["shuffled", "sequential"]) == "shuffled")
    #expect(nearest(to: "x", among: ["shuffled", "sequential"]) == nil)
  }
}
