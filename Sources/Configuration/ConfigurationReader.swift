import Foundations
import Images
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
  private let text: ConfigurationText
  private let environment: PathExpansion.Environment
  private var assignments: [(key: ConfigurationKey, value: ConfigurationValue)] = []
  /// Where each key was given.
  private(set) var places: [String: String] = [:]

  init(
    file: String, text: ConfigurationText, environment: @escaping PathExpansion.Environment
  ) {
    self.file = file
    self.text = text
    self.environment = environment
  }

  /// Collects what stands in a YAML mapping.
  mutating func collect(_ node: Node, section: String) throws {
    if let scalar = node.scalar, isNull(scalar) { return }
    guard let mapping = node.mapping else {
      var problem = "must be a section with keys, " + describeKeys(of: section)
      if node.sequence != nil {
        problem += "; it is a list: write the keys without '- '"
      } else if let text = node.scalar?.string {
        problem +=
          "; it is the text '\(printable(text, limit: 60))'"
        let advice = ConfigurationText.oddCharacter(in: text) ?? ConfigurationText.colonAdvice(text)
        if let advice { problem += ": \(advice)" }
      }
      throw ConfigurationError(
        place: place(node), key: section.isEmpty ? nil : section, problem: problem)
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
          assignments.append((key, try accepted(valueOf(value, for: key), by: key)))
        } catch let refusal as ConfigurationKey.Refusal {
          let advice = value.scalar.flatMap { key.advice(for: $0.string) }
          throw ConfigurationError(
            place: place(value), key: path,
            problem: refusal.reason + (advice.map { "; \($0)" } ?? ""))
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
    // By scalars: a mark makes another character of the "=", "[" or "," before it.
    guard let sign = argument.unicodeScalars.firstIndex(of: "="), sign > argument.startIndex else {
      throw ConfigurationError(
        place: place, problem: "must have the form section.key=value", exitStatus: .usage)
    }
    let path = String(argument[..<sign])
    let text = String(argument[argument.unicodeScalars.index(after: sign)...])
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
    let scalars = text.unicodeScalars
    let isListed = scalars.first == "[" && scalars.last == "]" && scalars.count > 1
    if case .channels = key.kind, scalars.contains(",") {
      let list = isListed ? scalars.dropFirst().dropLast() : scalars[...]
      value =
        ChannelValues(parsing: String(String.UnicodeScalarView(list))).map { .numbers($0.all) }
        ?? value
    }
    if case .texts = key.kind, isListed {
      value = .list(
        scalars.dropFirst().dropLast().split(separator: ",").map { part in
          let text = part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed()
          return String(String.UnicodeScalarView(text))
        })
    }
    do {
      if !text.hasPrefix("\"") { try refuseOddText(text, for: key) }
      assignments.append((key, try accepted(value, by: key)))
    } catch let refusal as ConfigurationKey.Refusal {
      let advice = key.advice(for: text).map { "; \($0)" } ?? ""
      throw ConfigurationError(place: place, key: path, problem: refusal.reason + advice)
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

  /// The value as the key takes it, with `~` and variables of paths replaced.
  private func accepted(
    _ value: ConfigurationValue, by key: ConfigurationKey
  ) throws -> ConfigurationValue {
    let value = try key.accept(value)
    guard key.namesFiles else { return value }
    do {
      switch value {
      case .text(let path):
        return .text(try PathExpansion.expand(path, environment: environment))
      case .list(let paths):
        return .list(try paths.map { try PathExpansion.expand($0, environment: environment) })
      default: return value
      }
    } catch let failure as PathExpansion.Failure {
      throw ConfigurationKey.Refusal(reason: failure.description)
    }
  }

  /// Refuses a text without quotes that was surely meant otherwise.
  private func refuseOddText(_ text: String, for key: ConfigurationKey) throws {
    switch key.kind {
    case .text, .texts: break
    case .boolean, .integer, .number, .channels, .choice: return
    }
    if let odd = ConfigurationText.oddEnd(of: text) {
      throw ConfigurationKey.Refusal(reason: "is '\(printable(text))': \(odd)")
    }
    if key.isOptional, ["none", "nil", "undefined"].contains(text.lowercased()) {
      throw ConfigurationKey.Refusal(
        reason: "is '\(text)': write null where nothing is meant, or the name in quotes")
    }
  }

  /// Refuses what YAML takes off a scalar without a word: a tag, or an anchor with nothing behind it.
  private func refuseDecoration(_ scalar: Node.Scalar) throws {
    let beginning = scalar.mark.flatMap { text.character(line: $0.line, column: $0.column) }
    let isAnchor = beginning == "&" && scalar.string.isEmpty
    guard beginning == "!" || isAnchor else { return }
    let sign = isAnchor ? "& (an anchor)" : "! (a tag)"
    throw ConfigurationKey.Refusal(
      reason: "begins with \(sign), which YAML takes away; put the value in quotes")
  }

  private func valueOf(_ node: Node, for key: ConfigurationKey) throws -> ConfigurationValue {
    if let scalar = node.scalar {
      try refuseDecoration(scalar)
      if isPlain(scalar) { try refuseOddText(scalar.string, for: key) }
      return self.scalar(scalar.string, isPlain: isPlain(scalar), for: key)
    }
    if let sequence = node.sequence, case .texts = key.kind {
      return .list(
        try sequence.map {
          guard let scalar = $0.scalar else {
            throw ConfigurationKey.Refusal(reason: "must be \(key.allowed)")
          }
          try refuseDecoration(scalar)
          if isPlain(scalar), let odd = ConfigurationText.oddEnd(of: scalar.string) {
            throw ConfigurationKey.Refusal(reason: "holds '\(printable(scalar.string))': \(odd)")
          }
          return scalar.string
        })
    }
    if let sequence = node.sequence, case .channels = key.kind {
      return .numbers(
        try sequence.map {
          switch $0.scalar.map({ scalar($0.string, isPlain: isPlain($0), for: key) }) {
          case .integer(let number): return Double(number)
          case .number(let number): return number
          default: throw ConfigurationKey.Refusal(reason: "must be \(key.allowed)")
          }
        })
    }
    // [fake, real] for the text "fake,real".
    if let sequence = node.sequence, case .choice(let names) = key.kind,
      names.contains(where: { $0.contains(",") })
    {
      return .text(sequence.map { $0.scalar?.string ?? "" }.joined(separator: ","))
    }
    let what = node.sequence == nil ? "a section" : "a list"
    var reason = "must be \(key.allowed), not \(what)"
    switch key.kind {
    case .text, .texts:
      reason += "; a text that begins with '\(node.sequence == nil ? "{" : "[")' needs quotes"
    default: break
    }
    throw ConfigurationKey.Refusal(reason: reason)
  }

  /// The meaning of a scalar: in quotes it is a text; else what the key asks for decides, so that
  /// a run may be called 7.
  private func scalar(
    _ text: String, isPlain: Bool, for key: ConfigurationKey
  ) -> ConfigurationValue {
    guard isPlain else { return .text(text) }
    if ["", "~", "null", "Null", "NULL"].contains(text) {
      switch key.kind {
      case .choice where !text.isEmpty && !key.isOptional: return .text(text)
      default: return .none
      }
    }
    switch key.kind {
    case .text, .texts, .choice: return .text(text)
    case .boolean, .integer, .number, .channels: break
    }
    switch text {
    case "true", "True", "TRUE": return .boolean(true)
    case "false", "False", "FALSE": return .boolean(false)
    default: break
    }
    if let number = Int(text) {
      // 010 is eight to readers of YAML 1.1 and ten to those of 1.2.
      let digits = text.drop { $0 == "+" || $0 == "-" }
      if digits.hasPrefix("0"), let octal = Int(digits, radix: 8), octal != Int(digits) {
        return .text(text)
      }
      return .integer(number)
    }
    if case .integer = key.kind, text.hasPrefix("0x"),
      text.utf8.dropFirst(2).allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
      let number = Int(text.dropFirst(2), radix: 16)
    {
      return .integer(number)
    }
    // Not "nan", "infinity" or hexadecimal fractions, which Double would take.
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
    let section = Configuration.sections.last { path.utf8.starts(with: "\($0).".utf8) }
    let given = section.map { String(path.unicodeScalars.dropFirst($0.utf8.count + 1)) } ?? path
    let advice =
      ConfigurationText.oddCharacter(in: path)
      ?? (given.contains(":") ? ConfigurationText.colonAdvice(given) : nil)
    if let advice {
      return ConfigurationError(place: place, key: path, problem: "unknown key: \(advice)")
    }
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
