import Foundation
import Foundations
import Yams

/// The user's own rules of what files are, in YAML: a list, of which the first rule counts whose
/// pattern a path matches.
///
/// ```yaml
/// - pattern: "originals/{source}/*.png"
///   label: real
/// - pattern: "swaps/{tool}/{split}/{target}_{donor}.mp4"
///   label: fake
///   method: "{tool}"
///   source: "{target}_{donor}"
///   shows: ["{target}", "{donor}"]
/// - pattern: "previews/**"
///   skip: true
/// ```
struct MappingRules {
  struct Rule: Equatable {
    var line: Int
    var pattern: PathTemplate
    var skips = false
    /// The texts that stand in the rule, else what the pattern's names of the same name stand for.
    var label: NameTemplate?
    var method: NameTemplate?
    var source: NameTemplate?
    var split: NameTemplate?
    var shows: [NameTemplate] = []
  }

  static let maximumBytes = 1 << 18
  static let maximumRules = 256
  private static let keys = [
    "pattern", "label", "method", "source", "split", "shows", "skip",
  ]

  private(set) var rules: [Rule] = []

  /// Throws ``PackError`` that names file and line.
  init(_ bytes: [UInt8], _ path: BytePath) throws {
    func refuse(_ line: Int?, _ text: String) -> PackError {
      .badData("\(path)\(line.map { ": line \($0)" } ?? ""): \(text)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw refuse(nil, "is not UTF-8 text; save it as UTF-8")
    }
    try Self.refuseAliases(bytes, refuse)
    let root: Node?
    do {
      root = try Parser(yaml: text, encoding: .utf8).singleRoot()
    } catch let error as YamlError {
      switch error {
      case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
        .composer(_, let problem, let mark, _):
        throw refuse(
          mark.line,
          "is not valid YAML: \(printable(problem)); write patterns in quotes, as in pattern:"
            + " \"real/*.png\"")
      default: throw refuse(nil, "is not valid YAML")
      }
    } catch { throw refuse(nil, "is not valid YAML") }
    guard let list = root?.sequence else {
      throw refuse(root?.mark?.line, "expected a list of rules, each beginning with - pattern:")
    }
    guard list.count <= Self.maximumRules else {
      throw refuse(nil, "has \(list.count) rules, more than \(Self.maximumRules)")
    }
    for node in list { rules.append(try Self.rule(node, refuse)) }
    guard !rules.isEmpty else { throw refuse(nil, "has no rules") }
  }

  /// A tower of aliases would unfold without end, and nobody needs them here.
  private static func refuseAliases(
    _ bytes: [UInt8], _ refuse: (Int?, String) -> PackError
  ) throws {
    var before = UInt8(ascii: "\n")
    var line = 1
    for (index, byte) in bytes.enumerated() {
      if byte == 10 { line += 1 }
      if byte == UInt8(ascii: "*"), " \n\t[{,:-".utf8.contains(before) {
        // Between quotes it is text, which only the parser knows; a mere sign is none.
        let next = index + 1 < bytes.count ? bytes[index + 1] : 10
        let isName = next > 0x7F || Character(Unicode.Scalar(next)).isLetter
        if isName || (48...57).contains(next) {
          throw refuse(
            line,
            "has an alias (*name); write patterns in quotes and beginning with a folder or {name}"
          )
        }
      }
      before = byte
    }
  }

  private static func rule(_ node: Node, _ refuse: (Int?, String) -> PackError) throws -> Rule {
    let line = node.mark?.line
    guard let mapping = node.mapping else {
      throw refuse(line, "a rule is a list of keys, of which pattern is one")
    }
    var values: [String: Node] = [:]
    for (key, value) in mapping {
      guard let name = key.scalar?.string else { throw refuse(key.mark?.line, "a key is no text") }
      guard keys.contains(name) else {
        let meant = nearest(to: name, among: keys).map { "; did you mean \($0)?" } ?? ""
        throw refuse(
          key.mark?.line,
          "there is no key \(printable(name, limit: 40)) (\(keys.joined(separator: ", ")))\(meant)")
      }
      values[name] = value
    }
    func scalar(_ key: String) throws -> String? {
      guard let value = values[key] else { return nil }
      guard let text = value.scalar?.string else {
        throw refuse(value.mark?.line, "\(key) is no text")
      }
      return text
    }
    func attempt<Value>(_ key: String, _ body: () throws -> Value) throws -> Value {
      do { return try body() } catch let problem as PathTemplate.Problem {
        throw refuse(values[key]?.mark?.line ?? line, "\(key) \(problem.text)")
      }
    }
    guard let pattern = try scalar("pattern") else { throw refuse(line, "a rule has no pattern") }
    var rule = Rule(line: line ?? 0, pattern: try attempt("pattern") { try PathTemplate(pattern) })
    func template(_ key: String) throws -> NameTemplate? {
      let text = try scalar(key) ?? (rule.pattern.names.contains(key) ? "{\(key)}" : nil)
      return try text.map { text in
        try named(attempt(key) { try NameTemplate(text) }, key)
      }
    }
    func named(_ template: NameTemplate, _ key: String) throws -> NameTemplate {
      for name in template.names where !rule.pattern.names.contains(name) {
        throw refuse(
          values[key]?.mark?.line ?? line,
          "\(key) has {\(printable(name, limit: 40))}, which the pattern has not")
      }
      return template
    }
    if let skip = try scalar("skip") {
      guard ["true", "false"].contains(skip) else {
        throw refuse(values["skip"]?.mark?.line, "skip is neither true nor false")
      }
      rule.skips = skip == "true"
    }
    rule.label = try template("label")
    rule.method = try template("method")
    rule.source = try template("source")
    rule.split = try template("split")
    if let shows = values["shows"] {
      guard let list = shows.sequence, list.count <= 16 else {
        throw refuse(shows.mark?.line, "shows is no list of at most 16 names")
      }
      rule.shows = try list.map { node in
        guard let text = node.scalar?.string else {
          throw refuse(node.mark?.line, "shows: no text")
        }
        return try named(attempt("shows") { try NameTemplate(text) }, "shows")
      }
    }
    guard rule.skips || rule.label != nil else {
      throw refuse(
        line, "a rule has neither label: real, label: fake, {label} in its pattern nor skip: true")
    }
    return rule
  }
}
