import Networks
import Yams

/// A configuration that can't be used, and why.
public struct ConfigurationError: ReportableError, Equatable {
  /// The file and line, or the argument, in which the mistake is.
  public let place: String
  /// The key's whole path; nil where no key is concerned.
  public let key: String?
  public let problem: String
  public let exitStatus: ExitStatus

  init(place: String, key: String? = nil, problem: String, exitStatus: ExitStatus = .badData) {
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
      throw ConfigurationError(place: path, problem: "is not UTF-8 text")
    }
    return try parse(text, name: path, overrides: overrides)
  }

  /// Reads a configuration from YAML.
  ///
  /// - Parameters:
  ///   - name: what error messages call the text.
  ///   - overrides: see ``load(path:overrides:)``.
  public static func parse(
    _ yaml: String, name: String, overrides: [String] = []
  ) throws -> Configuration {
    var configuration = Configuration()
    var given = ConfigurationAssignments(file: name)
    if let root = try document(yaml, name: name) {
      try given.collect(root, section: "")
    }
    try given.apply(to: &configuration)
    var fromArguments = ConfigurationAssignments(file: name)
    for argument in overrides { try fromArguments.collect(argument) }
    try fromArguments.apply(to: &configuration)
    try configuration.check(
      places: given.places.merging(fromArguments.places) { $1 }, file: name)
    return configuration
  }

  private static func document(_ yaml: String, name: String) throws -> Node? {
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
      switch error {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        throw ConfigurationError(
          place: "\(name):\(mark.line)", problem: "is not valid YAML: \(printable(problem))")
      case .reader(let problem, _, _, _):
        throw ConfigurationError(place: name, problem: "is not valid YAML: \(printable(problem))")
      case .duplicatedKeysInMapping(let duplicates, let context):
        throw ConfigurationError(
          place: "\(name):\(context.mark.line)", key: duplicates.sorted().first,
          problem: "appears twice")
      default:
        throw ConfigurationError(place: name, problem: "is not valid YAML")
      }
    }
  }

  /// Rules that concern several keys.
  private func check(places: [String: String], file: String) throws {
    func refuse(_ key: String, _ problem: String) -> ConfigurationError {
      ConfigurationError(place: places[key] ?? file, key: key, problem: problem)
    }
    guard !data.train.isEmpty else {
      throw refuse("data.train", "is required: name the training shards, such as \"d/train-*.h5\"")
    }
    for (key, texts) in [
      ("data.train", data.train), ("data.validation", data.validation), ("data.test", data.test),
      ("data.exclude_methods", data.excludeMethods),
    ] where texts.contains("") {
      throw refuse(key, "must not be empty")
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
  }
}

/// Values for keys, collected from one source (the file, or the command line) and applied at once.
private struct ConfigurationAssignments {
  let file: String
  private var assignments: [(key: ConfigurationKey, value: ConfigurationValue)] = []
  /// Where each key was given.
  private(set) var places: [String: String] = [:]

  init(file: String) { self.file = file }

  /// Collects what stands in a YAML mapping.
  mutating func collect(_ node: Node, section: String) throws {
    if let scalar = node.scalar, isNull(scalar) { return }
    guard let mapping = node.mapping else {
      throw ConfigurationError(
        place: place(node), key: section.isEmpty ? nil : section,
        problem: "must be a section with keys, "
          + describeKeys(of: section))
    }
    for (keyNode, value) in mapping {
      guard let name = keyNode.scalar?.string else {
        throw ConfigurationError(
          place: place(keyNode), key: section.isEmpty ? nil : section,
          problem: "has a key that is not a text")
      }
      let path = section.isEmpty ? name : "\(section).\(name)"
      if Configuration.sections.contains(path) {
        try collect(value, section: path)
      } else if let key = Configuration.keysByPath[path] {
        do {
          assignments.append((key, try key.accept(valueOf(value, for: key))))
        } catch let refusal as ConfigurationKey.Refusal {
          throw ConfigurationError(
            place: place(value), key: path, problem: refusal.reason)
        }
        places[path] = place(keyNode)
      } else {
        throw unknown(path, place: place(keyNode))
      }
    }
  }

  /// Collects an argument `section.key=value`.
  mutating func collect(_ argument: String) throws {
    let place = "--set \(argument)"
    guard let sign = argument.firstIndex(of: "="), sign > argument.startIndex else {
      throw ConfigurationError(
        place: place, problem: "must have the form section.key=value", exitStatus: .usage)
    }
    let path = String(argument[..<sign])
    let text = String(argument[argument.index(after: sign)...])
    guard let key = Configuration.keysByPath[path] else {
      if Configuration.sections.contains(path) {
        throw ConfigurationError(
          place: place, key: path,
          problem: "is a section: set one of its keys, "
            + describeKeys(of: path))
      }
      throw unknown(path, place: place)
    }
    var value = scalar(text, isPlain: true, for: key)
    if case .texts = key.kind, text.hasPrefix("["), text.hasSuffix("]") {
      value = .list(
        text.dropFirst().dropLast().split(separator: ",").map {
          String($0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        })
    }
    do {
      assignments.append((key, try key.accept(value)))
    } catch let refusal as ConfigurationKey.Refusal {
      throw ConfigurationError(place: place, key: path, problem: refusal.reason)
    }
    places[path] = place
  }

  func apply(to configuration: inout Configuration) throws {
    let given = Set(assignments.lazy.filter { $0.value != .none }.map(\.key.path))
    if given.contains("training.steps"), given.contains("training.epochs") {
      throw ConfigurationError(
        place: places["training.epochs"] ?? file, key: "training.epochs",
        problem: "can't be given together with training.steps")
    }
    for (key, value) in assignments { key.set(&configuration, value) }
    if configuration.training.steps == nil, configuration.training.epochs == nil {
      configuration.training.steps = Configuration().training.steps
    }
  }

  private func place(_ node: Node) -> String {
    node.mark.map { "\(file):\($0.line)" } ?? file
  }

  private func isNull(_ scalar: Node.Scalar) -> Bool {
    isPlain(scalar) && ["", "~", "null", "Null", "NULL"].contains(scalar.string)
  }

  private func isPlain(_ scalar: Node.Scalar) -> Bool {
    scalar.style == .plain || scalar.style == .any
  }

  private func valueOf(_ node: Node, for key: ConfigurationKey) throws -> ConfigurationValue {
    if let scalar = node.scalar {
      return self.scalar(scalar.string, isPlain: isPlain(scalar), for: key)
    }
    if let sequence = node.sequence, case .texts = key.kind {
      return .list(
        try sequence.map {
          guard let text = $0.scalar?.string else {
            throw ConfigurationKey.Refusal(reason: "must be \(key.allowed)")
          }
          return text
        })
    }
    let what = node.sequence == nil ? "a section" : "a list"
    throw ConfigurationKey.Refusal(reason: "must be \(key.allowed), not \(what)")
  }

  /// The meaning of a scalar: in quotes it is a text; else what the key asks for decides, so that
  /// a run may be called 7.
  private func scalar(
    _ text: String, isPlain: Bool, for key: ConfigurationKey
  ) -> ConfigurationValue {
    guard isPlain else { return .text(text) }
    if ["", "~", "null", "Null", "NULL"].contains(text) {
      switch key.kind {
      case .choice where !text.isEmpty: return .text(text)
      default: return .none
      }
    }
    switch key.kind {
    case .text, .texts, .choice: return .text(text)
    case .boolean, .integer, .number: break
    }
    switch text {
    case "true", "True", "TRUE": return .boolean(true)
    case "false", "False", "FALSE": return .boolean(false)
    default: break
    }
    if let number = Int(text) { return .integer(number) }
    // Not "0x10", "nan" or "infinity", which Double would take.
    if text.utf8.allSatisfy({ byte in "0123456789+-.eE".utf8.contains(byte) }),
      let number = Double(text), number.isFinite
    {
      return .number(number)
    }
    return .text(text)
  }

  private func describeKeys(of section: String) -> String {
    if section.isEmpty {
      return
        Configuration.sections.filter { !$0.contains(".") }.map { "\($0):" }.joined(separator: ", ")
    }
    let prefix = section + "."
    var names: [String] = []
    for key in Configuration.keys where key.path.hasPrefix(prefix) {
      let name = String(key.path.dropFirst(prefix.count).prefix { $0 != "." })
      if !names.contains(name) { names.append(name) }
    }
    return names.joined(separator: ", ")
  }

  private func unknown(_ path: String, place: String) -> ConfigurationError {
    // The last part decides, wherever it belongs: `training.learning_rate` was meant to be
    // `training.optimizer.learning_rate`.
    let name = path.split(separator: ".").last.map(String.init) ?? path
    let parent = path.split(separator: ".").dropLast().joined(separator: ".")
    let candidates = Configuration.keys.map(\.path) + Configuration.sections
    let scored = candidates.map { candidate -> (path: String, distance: Double) in
      let parts = candidate.split(separator: ".")
      let section = parts.dropLast().joined(separator: ".")
      let byName = Double(editDistance(name.lowercased(), String(parts.last!)))
      let elsewhere = section == parent ? 0 : 0.5 + 0.01 * Double(editDistance(parent, section))
      return (candidate, byName + elsewhere)
    }
    var problem = "unknown key"
    let best = scored.min { $0.distance < $1.distance }!
    if best.distance <= Double(Swift.max(2, name.count / 3)), best.distance < Double(name.count) {
      problem += "; did you mean '\(best.path)'?"
    } else if Configuration.sections.contains(parent) || parent.isEmpty {
      problem += "; known here: \(describeKeys(of: parent))"
    } else {
      problem += "; sections are \(describeKeys(of: ""))"
    }
    return ConfigurationError(place: place, key: path, problem: problem)
  }
}
