import Foundations

extension Configuration {
  /// The whole configuration in YAML, every key with its documentation: reading it gives the same
  /// configuration.
  public var yaml: String {
    var lines: [String] = []
    var open: [Substring] = []
    for key in Self.keys {
      let sections = key.section.split(separator: ".")
      let common = zip(open, sections).prefix { $0 == $1 }.count
      for depth in common..<sections.count {
        if depth == 0, !lines.isEmpty { lines.append("") }
        lines.append(String(repeating: "  ", count: depth) + "\(sections[depth]):")
      }
      open = sections
      let indent = String(repeating: "  ", count: sections.count)
      lines.append("\(indent)# \(key.documentation)")
      let value = key.get(self)
      lines.append("\(indent)\(key.name): \((key.namesFiles ? value.escaped : value).yaml)")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// SHA-256, in hexadecimal, of the settings that decide what weights come out. Take it of the
  /// resolved configuration.
  public var digest: String {
    let lines = Self.keys.filter { affectsResult($0) }.map {
      "\($0.path)=\($0.get(self).yaml)\n"
    }
    return SHA256.hexadecimal(of: Array(lines.joined().utf8))
  }

  /// A key with different values in two configurations.
  public struct Difference: Sendable, Equatable, CustomStringConvertible {
    public let key: String
    public let before: String
    public let after: String
    /// Whether a run may go on with the new value and end with the same weights.
    public let isHarmless: Bool

    package init(key: String, before: String, after: String, isHarmless: Bool) {
      self.key = key
      self.before = before
      self.after = after
      self.isHarmless = isHarmless
    }

    public var description: String { "\(key): \(before) before, \(after) now" }
  }

  /// What differs from an `earlier` configuration, in the order of ``keys``.
  public func differences(from earlier: Configuration) -> [Difference] {
    Self.keys.compactMap { key in
      let (before, after) = (key.get(earlier), key.get(self))
      guard before != after else { return nil }
      return Difference(
        key: key.path, before: before.yaml, after: after.yaml,
        isHarmless: !affectsResult(key) && !earlier.affectsResult(key))
    }
  }

  /// Whether another value of `key` would give other weights. The length of the run does only
  /// where the learning rate is bound to it.
  private func affectsResult(_ key: ConfigurationKey) -> Bool {
    key.effect == .result
      || training.schedule.name == .cosine
        && (key.path == "training.steps" || key.path == "training.epochs")
  }

  /// Every key with type, default and meaning, for a terminal: an annotated configuration.
  public static var help: String {
    let defaults = Configuration()
    var lines: [String] = []
    var section = ""
    for key in keys {
      if key.section != section {
        section = key.section
        lines.append((lines.isEmpty ? "" : "\n") + section)
      }
      lines.append("  \(key.name): \(key.get(defaults).yaml)")
      lines.append("      \(key.documentation)")
      lines.append("      Takes \(key.allowed).")
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Every key as tables in Markdown, one a section.
  public static var markdown: String {
    let defaults = Configuration()
    var lines: [String] = []
    var section = ""
    func cell(_ text: String) -> String {
      text.split(separator: "|", omittingEmptySubsequences: false).joined(separator: "\\|")
    }
    for key in keys {
      if key.section != section {
        section = key.section
        if !lines.isEmpty { lines.append("") }
        lines += [
          "## \(section)", "", "| key | default | takes | meaning |", "| --- | --- | --- | --- |",
        ]
      }
      lines.append(
        "| `\(key.name)` | `\(key.get(defaults).yaml)` | \(cell(key.allowed)) "
          + "| \(cell(key.documentation)) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
