import Foundations
import Images
import Yams

/// Values for keys, collected from one source (the file, or the command line) and applied at once.
struct ConfigurationAssignments {
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
    if case .range = key.kind, scalars.contains(",") {
      let list = isListed ? scalars.dropFirst().dropLast() : scalars[...]
      let parts = list.split(separator: ",", omittingEmptySubsequences: false).map { part in
        String(String.UnicodeScalarView(part)).filter { $0 != " " }
      }
      value =
        numbers(parts.map { scalar($0, isPlain: true, for: key) }).map { .numbers($0) } ?? value
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
    case .boolean, .integer, .number, .channels, .range, .choice: return
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
    if let sequence = node.sequence, key.takesNumbers {
      let values = sequence.map { node in
        node.scalar.map { scalar($0.string, isPlain: isPlain($0), for: key) } ?? .none
      }
      guard let numbers = numbers(values) else {
        throw ConfigurationKey.Refusal(reason: "must be \(key.allowed)")
      }
      return .numbers(numbers)
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
    case .boolean, .integer, .number, .channels, .range: break
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

  /// The numbers of a list of them; nil where one is none.
  private func numbers(_ values: [ConfigurationValue]) -> [Double]? {
    var numbers: [Double] = []
    for value in values {
      switch value {
      case .integer(let number): numbers.append(Double(number))
      case .number(let number): numbers.append(number)
      default: return nil
      }
    }
    return numbers
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
