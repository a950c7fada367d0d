import Foundations

/// A configuration's text, looked at again when it can't be read, to say what people do to YAML and
/// YAML's own parser has no word for: tabs, no-break spaces, a value that begins with `*`, a colon
/// without a space, quotes of a word processor.
struct ConfigurationText {
  /// Lines as the parser counts them, from 1, without their ends.
  private let lines: [[Unicode.Scalar]]

  init(_ text: String) {
    var lines: [[Unicode.Scalar]] = [[]]
    var previous: Unicode.Scalar?
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\n" where previous == "\r": break
      case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}": lines.append([])
      default: lines[lines.count - 1].append(scalar)
      }
      previous = scalar
    }
    self.lines = lines
  }

  // MARK: What the parser refuses

  /// A mistake that explains why the parser gave up at `line`, and where it is: there, or on the last
  /// line before that says anything.
  func explanation(at line: Int) -> (line: Int, words: String)? {
    var candidates: [Int] = []
    for number in stride(from: min(line, lines.count), to: 0, by: -1) {
      guard candidates.count < 2 else { break }
      if !isBlank(number) { candidates.append(number) }
    }
    for number in candidates {
      if let words = badIndentation(number) ?? oddCharacter(number) { return (number, words) }
    }
    for number in candidates {
      if let words = badBeginning(number) ?? badColon(number) { return (number, words) }
    }
    return nil
  }

  /// The first character that YAML does not allow, and its line.
  func forbiddenCharacter() -> (line: Int, words: String)? {
    for (index, line) in lines.enumerated() {
      for scalar in line {
        switch scalar.value {
        case 0x09, 0x20...0x7E, 0xA0...0xFEFE, 0xFF00...0xFFFD, 0x10000...: continue
        case 0xFEFF: return (index + 1, "there is a byte-order mark (U+FEFF) inside the text")
        default: return (index + 1, "there is a control character (\(code(scalar)))")
        }
      }
    }
    return nil
  }

  /// The line of the key that repeats the one at `line` and `column`, both from 1.
  func repetition(ofKeyAt line: Int, column: Int) -> Int? {
    guard line >= 1, line <= lines.count, column >= 1 else { return nil }
    func key(_ number: Int) -> [Unicode.Scalar] {
      Array(lines[number - 1].dropFirst(column - 1).prefix { $0 != ":" })
    }
    let wanted = key(line)
    guard !wanted.isEmpty, lines[line - 1].prefix(column - 1).allSatisfy({ $0 == " " }) else {
      return nil
    }
    for number in line + 1..<lines.count + 1 where !isBlank(number) {
      let indentation = lines[number - 1].prefix { $0 == " " }.count
      if indentation < column - 1 { return nil }
      if indentation == column - 1, key(number) == wanted { return number }
    }
    return nil
  }

  /// The character at `line` and `column`, both from 1.
  func character(line: Int, column: Int) -> Unicode.Scalar? {
    guard lines.indices.contains(line - 1), lines[line - 1].indices.contains(column - 1) else {
      return nil
    }
    return lines[line - 1][column - 1]
  }

  private func isBlank(_ number: Int) -> Bool {
    let first = lines[number - 1].first { $0 != " " && $0 != "\t" }
    return first == nil || first == "#"
  }

  private func badIndentation(_ number: Int) -> String? {
    lines[number - 1].prefix { $0 == " " || $0 == "\t" }.contains("\t")
      ? "the line is indented by a tab; write spaces" : nil
  }

  private func oddCharacter(_ number: Int) -> String? {
    ConfigurationText.oddCharacter(in: String(String.UnicodeScalarView(withoutComment(number))))
  }

  /// A value that begins with a character that means something else to YAML.
  private func badBeginning(_ number: Int) -> String? {
    let line = withoutComment(number)
    var previous: Unicode.Scalar = " "
    for (index, scalar) in line.enumerated() {
      defer { if scalar != " " { previous = scalar } }
      let begins =
        index == 0 || line[index - 1] == " " || previous == "[" || previous == "{"
      guard begins, [" ", ":", "-", "[", "{", ","].contains(previous) else { continue }
      let meaning: String
      switch scalar {
      case "*": meaning = "is an alias"
      case "&": meaning = "is an anchor"
      case "!": meaning = "is a tag"
      case "%", "@", "`": meaning = "is not allowed"
      case "|", ">": meaning = "is a text of several lines"
      case "[", "{":
        guard previous == ":" || previous == "-", goesOnBehindItsEnd(line[index...]) else {
          continue
        }
        meaning = "is a list or section"
      case "\"", "'":
        guard goesOnBehindItsEnd(line[index...]) else { continue }
        return "a text in quotes ends with them: \(shown(line[index...]))"
      default: continue
      }
      return
        "a value that begins with '\(scalar)' \(meaning) in YAML; put it in quotes: "
        + "\"\(shown(value(line[index...])))\""
    }
    return nil
  }

  /// A value up to where a list or section would go on.
  private func value(_ line: ArraySlice<Unicode.Scalar>) -> ArraySlice<Unicode.Scalar> {
    let isWhole = line.first == "[" || line.first == "{"
    return isWhole ? line : line.prefix { $0 != "," && $0 != "]" && $0 != "}" }
  }

  /// Whether a list, section or quoted text is closed on the line, with something right behind it.
  private func goesOnBehindItsEnd(_ line: ArraySlice<Unicode.Scalar>) -> Bool {
    let closing: Unicode.Scalar? =
      switch line.first {
      case "[": "]"
      case "{": "}"
      default: line.first
      }
    guard let end = line.dropFirst().firstIndex(where: { $0 == closing }), end + 1 < line.endIndex
    else { return false }
    return ![" ", "\t", ",", "]", "}", ":", "'"].contains(line[end + 1])
  }

  private func badColon(_ number: Int) -> String? {
    let text = String(String.UnicodeScalarView(withoutComment(number)))
    return Self.colonAdvice(text)
  }

  /// The line up to a comment, without white space at its ends.
  private func withoutComment(_ number: Int) -> [Unicode.Scalar] {
    var quote: Unicode.Scalar?
    var previous: Unicode.Scalar = " "
    var kept: [Unicode.Scalar] = []
    for scalar in lines[number - 1] {
      if quote == nil, scalar == "#", previous == " " || previous == "\t" { break }
      if scalar == quote {
        quote = nil
      } else if quote == nil, scalar == "\"" || scalar == "'",
        " :-[{,".unicodeScalars.contains(previous)
      {
        quote = scalar
      }
      previous = scalar
      kept.append(scalar)
    }
    let blank: (Unicode.Scalar) -> Bool = { $0 == " " || $0 == "\t" }
    return Array(kept.drop(while: blank).reversed().drop(while: blank).reversed())
  }

  private func shown(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
    printable(String(String.UnicodeScalarView(scalars)), limit: 60)
  }

  // MARK: What is read, but was meant otherwise

  /// What is wrong with the space in front of a value or key, or with its quotes; nil if nothing is.
  static func oddCharacter(in text: String) -> String? {
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\u{A0}", "\u{1680}", "\u{2000}"..."\u{200F}", "\u{202F}", "\u{205F}", "\u{2060}",
        "\u{3000}":
        let name =
          scalar == "\u{A0}" || scalar == "\u{202F}" ? "a no-break space" : "an odd space"
        return "there is \(name) (\(code(scalar))); write a plain one"
      case "\u{FEFF}": return "there is a byte-order mark (U+FEFF) inside the text; take it out"
      case "\u{FF1A}": return "there is a full-width colon (U+FF1A); write ':'"
      case "\u{2018}"..."\u{201F}", "\u{AB}", "\u{BB}", "\u{2039}", "\u{203A}":
        return "there is the typographic quote \(scalar); write \" instead"
      default: break
      }
    }
    return nil
  }

  /// Likewise of a text that is a value: odd characters inside it may be meant, at its ends they
  /// are not.
  static func oddEnd(of text: String) -> String? {
    guard let first = text.unicodeScalars.first, let last = text.unicodeScalars.last else {
      return nil
    }
    return [first, last].lazy.compactMap { oddCharacter(in: String($0)) }.first
  }

  /// For a text that ought to be a key and its value; nil where nothing speaks for it.
  static func colonAdvice(_ text: String) -> String? {
    let names = Set(
      (Configuration.keys.map(\.path) + Configuration.sections).flatMap {
        $0.split(separator: ".").suffix(1).map(String.init)
      })
    func isNamed(_ scalar: Unicode.Scalar) -> Bool {
      ("a"..."z").contains(scalar) || ("0"..."9").contains(scalar) || scalar == "_"
    }
    let blank: (Unicode.Scalar) -> Bool = { $0 == " " || $0 == "\t" }
    // A list's dash, an opened section or another key may stand before.
    var rest = Array(text.unicodeScalars)[...]
    var isFirst = true
    while let start = rest.firstIndex(where: isNamed) {
      let before = start == rest.startIndex ? nil : rest[start - 1]
      rest = rest[start...]
      let name = String(String.UnicodeScalarView(rest.prefix(while: isNamed)))
      rest = rest.drop(while: isNamed)
      let begins = before.map { " -{,\t".unicodeScalars.contains($0) } ?? true
      guard begins, names.contains(name) else {
        isFirst = false
        continue
      }
      let after = rest.drop(while: blank)
      func value(_ scalars: ArraySlice<Unicode.Scalar>) -> String {
        let word = scalars.drop(while: blank).prefix { !blank($0) && $0 != "}" }
        return printable(String(String.UnicodeScalarView(word)), limit: 60)
      }
      if after.first == "=", after.count > 1 {
        return "'=' gives no value: write '\(name): \(value(after.dropFirst()))'"
      }
      if rest.first == ":", let next = rest.dropFirst().first, !blank(next) {
        return "the colon needs a space behind it: write '\(name): \(value(rest.dropFirst()))'"
      }
      if isFirst, after.isEmpty || rest.first.map(blank) ?? false {
        return "'\(name)' needs a colon behind it"
      }
      isFirst = false
    }
    return nil
  }

  private static func code(_ scalar: Unicode.Scalar) -> String {
    let digits = String(scalar.value, radix: 16, uppercase: true)
    return "U+" + String(repeating: "0", count: max(0, 4 - digits.count)) + digits
  }

  private func code(_ scalar: Unicode.Scalar) -> String { Self.code(scalar) }
}

extension ConfigurationKey {
  /// What to write instead of `text`, which this key refuses; nil where nothing is certain.
  func advice(for text: String) -> String? {
    if case .choice = kind { return ConfigurationText.oddEnd(of: text) }
    if case .text = kind { return nil }
    if case .texts = kind { return nil }
    if let odd = ConfigurationText.oddCharacter(in: text) { return odd }
    let word = text.lowercased()
    if case .boolean = kind {
      if ["true", "false"].contains(word) { return "take its quotes away" }
      if ["yes", "on", "y", "t", "1"].contains(word) { return "write true" }
      if ["no", "off", "n", "f", "0"].contains(word) { return "write false" }
      return nil
    }
    if isOptional, ["none", "nil", "auto", "default"].contains(word) { return "write null" }
    if case .integer = kind, text.hasPrefix("0"), let decimal = Int(text),
      let octal = Int(text, radix: 8), octal != decimal
    {
      return "a leading 0 is octal to some readers: write \(decimal), or \(octal) if that is meant"
    }
    if isAccepted(text) { return "take its quotes away" }
    var digits = text.filter { $0 != "_" && $0 != " " && $0 != "'" }
    if digits.unicodeScalars.first == "\u{2212}" { digits = "-" + digits.dropFirst() }
    if digits.hasPrefix("0o"), let octal = Int(digits.dropFirst(2), radix: 8) {
      digits = "\(octal)"
    }
    if digits.hasPrefix("0x"), let hexadecimal = Int(digits.dropFirst(2), radix: 16) {
      digits = "\(hexadecimal)"
    }
    let groups = digits.split(separator: ",", omittingEmptySubsequences: false)
    var candidates = [digits]
    if case .integer = kind {
      if let number = Double(digits), let whole = Int(exactly: number) { candidates = ["\(whole)"] }
      if groups.count > 1, groups.dropFirst().allSatisfy({ $0.count == 3 }) {
        candidates = [groups.joined()]
      }
    } else {
      if groups.count == 2 { candidates = [groups.joined(separator: ".")] }
      if digits.hasSuffix("%"), let percent = Double(digits.dropLast()) {
        candidates = [(percent / 100).plain]
      }
    }
    for (suffix, factor) in [("k", 1000), ("K", 1000), ("M", 1_000_000)] {
      if digits.hasSuffix(suffix), let number = Double(digits.dropLast()),
        let whole = Int(exactly: number * Double(factor))
      {
        candidates = ["\(whole)"]
      }
    }
    if digits.hasSuffix("px") || digits.hasSuffix("s") {
      candidates = [String(digits.prefix { "0123456789.".contains($0) })]
    }
    return candidates.first { $0 != text && isAccepted($0) }.map { "write \($0)" }
  }

  /// Whether the key takes `text` as a number.
  private func isAccepted(_ text: String) -> Bool {
    let value: ConfigurationValue
    if let integer = Int(text) {
      value = .integer(integer)
    } else if let number = Double(text), number.isFinite {
      value = .number(number)
    } else {
      return false
    }
    return (try? accept(value)) != nil
  }
}
