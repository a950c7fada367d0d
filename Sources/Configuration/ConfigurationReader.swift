import ForgeryMining
import Foundations
import Yams

/// A configuration that can't be used, and why.
public struct ConfigurationError: ReportableError, Equatable {
  /// The file and line, or the argument, in which the mistake is.
  public let place: String
  /// The key's whole path; nil where no key is concerned.
  public let key: String?
  public let problem: String
  public let exitStatus: ExitStatus

  package init(
    place: String, key: String? = nil, problem: String, exitStatus: ExitStatus = .badData
  ) {
    self.place = place
    self.key = key
    self.problem = problem
    self.exitStatus = exitStatus
  }

  public var description: String {
    let start = "\(printable(place, limit: 400)): "
    return key.map { "\(start)\(printable($0)): \(problem)" } ?? start + problem
  }
}

extension Configuration {
  /// A longer file is refused.
  static let maximumBytes = 1 << 20

  /// Reads a configuration from a YAML file and applies `overrides`, texts of the form
  /// `section.key=value`, which win over the file.
  ///
  /// - Throws: ``ConfigurationError`` naming file, line and key; `FileError`.
  public static func load(path: String, overrides: [String] = []) throws -> Configuration {
    let reader = try FileReader(opening: path)
    guard reader.size <= maximumBytes else {
      throw ConfigurationError(
        place: path, problem: "is too large to be a configuration (\(reader.size) bytes)")
    }
    var bytes = [UInt8](repeating: 0, count: reader.size)
    let count = try bytes.withUnsafeMutableBytes { try reader.read(into: $0, at: 0) }
    guard let text = String(validating: bytes[..<count], as: UTF8.self) else {
      throw notUTF8(bytes[..<count], path: path)
    }
    return try parse(text, name: path, overrides: overrides)
  }

  /// What is in a file that is not UTF-8.
  private static func notUTF8(_ bytes: ArraySlice<UInt8>, path: String) -> ConfigurationError {
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      return ConfigurationError(place: path, problem: "is UTF-16 text; save it as UTF-8")
    }
    var line = 1
    var start = bytes.startIndex
    while let end = bytes[start...].firstIndex(of: 10),
      String(validating: bytes[start..<end], as: UTF8.self) != nil
    {
      line += 1
      start = end + 1
    }
    return ConfigurationError(
      place: "\(path):\(line)", problem: "is not UTF-8 text; save it as UTF-8")
  }

  /// Reads a configuration from YAML.
  ///
  /// - Parameters:
  ///   - name: what error messages call the text.
  ///   - overrides: see ``load(path:overrides:)``.
  ///   - environment: where paths find their variables; see ``PathExpansion``.
  public static func parse(
    _ yaml: String, name: String, overrides: [String] = [],
    environment: @escaping PathExpansion.Environment = PathExpansion.processEnvironment
  ) throws -> Configuration {
    var yaml = yaml
    if yaml.unicodeScalars.first == "\u{FEFF}" { yaml.unicodeScalars.removeFirst() }
    let text = ConfigurationText(yaml)
    var configuration = Configuration()
    var given = ConfigurationAssignments(file: name, text: text, environment: environment)
    let root = try document(yaml, text, name: name)
    if let root { try given.collect(root, section: "") }
    try given.apply(to: &configuration)
    var fromArguments = ConfigurationAssignments(file: name, text: text, environment: environment)
    for argument in overrides { try fromArguments.collect(argument) }
    try fromArguments.apply(to: &configuration)
    try configuration.check(
      places: given.places.merging(fromArguments.places) { $1 }, file: name,
      isEmpty: root == nil)
    return configuration
  }

  private static func document(
    _ yaml: String, _ text: ConfigurationText, name: String
  ) throws -> Node? {
    // The parser bounds depth, but a tower of aliases would still unfold without end. Nobody
    // needs them here; a few characters that look like one (in a file pattern) do no harm.
    var aliases = 0
    var previous: UInt8 = 0
    for byte in yaml.utf8 {
      let isName =
        byte >= 0x30 && byte <= 0x39 || byte >= 0x41 && byte <= 0x5a || byte >= 0x61 && byte <= 0x7a
        || byte == 0x2d || byte == 0x5f
      if previous == UInt8(ascii: "*"), isName { aliases += 1 }
      previous = byte
    }
    guard aliases <= 40 else {
      throw ConfigurationError(place: name, problem: "uses more than 40 YAML aliases")
    }
    do {
      return try Parser(yaml: yaml, encoding: .utf8).singleRoot()
    } catch let error as YamlError {
      func invalid(_ line: Int, _ problem: String) -> ConfigurationError {
        ConfigurationError(place: "\(name):\(line)", problem: "is not valid YAML: \(problem)")
      }
      switch error {
      case .composer(_, "but found another document", let mark, _):
        throw invalid(
          mark.line, "another document begins here; a configuration is one, without '---' inside")
      case .scanner(let context?, "found unexpected end of stream", _, _),
        .scanner(let context?, "found unexpected document indicator", _, _):
        throw invalid(context.mark.line, "a text in quotes begins here and does not end")
      case .scanner(_, "found unknown escape character", let mark, _):
        throw invalid(
          mark.line,
          "a backslash in double quotes begins an escape such as \\n; write \\\\, or the text in "
            + "single quotes")
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        if let found = text.explanation(at: mark.line) {
          throw invalid(found.line, "\(printable(problem)): \(found.words)")
        }
        let words =
          switch problem {
          case "mapping values are not allowed in this context", "did not find expected key":
            "the line's indentation fits no line above, or a colon is too many"
          case "did not find expected <document start>":
            "there is text behind the end of the document"
          default: printable(problem)
          }
        throw invalid(mark.line, words)
      case .reader(let problem, _, _, _):
        guard let found = text.forbiddenCharacter() else {
          throw ConfigurationError(
            place: name, problem: "is not valid YAML: \(printable(problem))")
        }
        throw invalid(found.line, found.words)
      case .duplicatedKeysInMapping(let duplicates, let context):
        let mark = context.mark
        let again = text.repetition(ofKeyAt: mark.line, column: mark.column)
        throw ConfigurationError(
          place: "\(name):\(mark.line)", key: duplicates.sorted().first,
          problem: "appears twice" + (again.map { ", here and on line \($0)" } ?? ""))
      default:
        throw ConfigurationError(place: name, problem: "is not valid YAML")
      }
    }
  }

  /// Why the detector can't be trained with an erasing method; nil where it can.
  public func problem(with method: ErasingMethodName) -> String? {
    var settings = augmentation
    settings.method = method
    guard settings.erasing(crop: data.crop).guide == .classActivation,
      !model.form.hasActivationMaps
    else { return nil }
    return "is \(method.rawValue), which erases by class activation maps, and "
      + "\(model.name.rawValue) has none: they need a network that ends in the average of a map and a "
      + "linear layer"
  }

  /// Rules that concern several keys.
  private func check(places: [String: String], file: String, isEmpty: Bool) throws {
    func refuse(_ key: String, _ problem: String) -> ConfigurationError {
      ConfigurationError(place: places[key] ?? file, key: key, problem: problem)
    }
    guard !data.train.isEmpty else {
      throw refuse(
        "data.train",
        "is required: name the training shards, such as \"d/train-*.h5\""
          + (isEmpty ? "; the file is empty" : ""))
    }
    for (key, texts) in [
      ("data.train", data.train), ("data.validation", data.validation), ("data.test", data.test),
      ("data.exclude_methods", data.excludeMethods),
    ] where texts.contains("") {
      throw refuse(key, "must not be empty")
    }
    if data.selfBlended > 0, data.sampling != .balanced || data.order != .shuffled {
      throw refuse(
        "data.self_blended",
        "is \(data.selfBlended.plain), a share of the fakes that go with as many real faces: it needs "
          + "data.sampling: balanced and data.order: shuffled")
    }
    if evaluation.patience > 0, evaluation.everySteps == 0 || data.validation.isEmpty {
      throw refuse(
        "evaluation.patience",
        "is \(evaluation.patience), and nothing is evaluated while training: it needs data.validation, and "
          + "evaluation.every_steps above 0")
    }
    let name = run.name
    let isPlain = name.unicodeScalars.allSatisfy {
      $0.properties.isAlphabetic || $0.properties.numericType != nil
        || "._-+=@".contains(Character($0))
    }
    guard isPlain, let first = name.first, first != ".", first != "-", name.utf8.count <= 200 else {
      throw refuse(
        "run.name",
        "must be usable as a folder's name: letters, digits and ._-+=@, not beginning "
          + "with '.' or '-'")
    }
    guard !run.directory.isEmpty else { throw refuse("run.directory", "must not be empty") }
    let erasing = augmentation.randomErasing
    guard erasing.minArea <= erasing.maxArea else {
      throw refuse(
        "augmentation.random_erasing.min_area", "is \(erasing.minArea.plain), above max_area")
    }
    guard !training.optimizer.nesterov || training.optimizer.momentum > 0 else {
      throw refuse("training.optimizer.nesterov", "needs a momentum above 0")
    }
    guard training.schedule.minimum <= training.optimizer.learningRate else {
      throw refuse("training.schedule.minimum", "is above the learning rate")
    }
    guard model.name.crops.contains(data.crop) else {
      throw refuse(
        "data.crop",
        "is \(data.crop), and \(model.name.rawValue) takes \(model.name.cropsText)")
    }
    if let problem = model.problem { throw refuse(problem.key, problem.text) }
    if let problem = stageRateProblem { throw refuse(problem.key, problem.text) }
    if let problem = problem(with: augmentation.method) {
      throw refuse("augmentation.method", problem)
    }
  }
}

extension Configuration.Model {
  /// Which of its settings the network can't have, and why.
  package var problem: (key: String, text: String)? {
    if let problem = form.problem {
      return (problem.concernsHead ? "model.head" : "model.truncate", problem.text)
    }
    if dropPath != 0, !form.hasResidualBranches {
      return (
        "model.drop_path",
        "is \(dropPath.plain), and \(form) has no residual branches that could be left out"
      )
    }
    if dropout != 0, form.head != .linear {
      return ("model.dropout", "is \(dropout.plain), and a patch head has none")
    }
    return nil
  }
}
