import Foundations

/// A piece of a page: markup, in which everything that came from data is escaped.
///
/// Written as a string literal. What is interpolated is taken for text and escaped, unless it is
/// HTML itself, so that a method named `<script>` is shown by that name and nothing more:
///
///     let cell: HTML = "<td>\(name)</td>"
///
/// The markup is well-formed XML as well: every element is closed, attributes are in double quotes.
public struct HTML: Sendable, Equatable {
  public private(set) var markup: String

  public static let nothing = HTML(markup: "")

  static func + (a: HTML, b: HTML) -> HTML { HTML(markup: a.markup + b.markup) }
  static func += (a: inout HTML, b: HTML) { a.markup += b.markup }

  /// `text` without a meaning of its own in content and in quoted attributes. Characters that can't
  /// be seen, or turn what follows around (escape sequences, marks of direction), are spelled out.
  public static func escaped(_ text: String) -> String {
    var shown = ""
    // Not by characters: a mark above a quotation mark makes another character of both.
    for scalar in printable(text, limit: .max).unicodeScalars {
      switch scalar {
      case "&": shown += "&amp;"
      case "<": shown += "&lt;"
      case ">": shown += "&gt;"
      case "\"": shown += "&quot;"
      case "'": shown += "&#39;"
      default: shown.unicodeScalars.append(scalar)
      }
    }
    return shown
  }

  /// A name that came from data, set apart so that its direction leaves its neighbours alone.
  static func name(_ text: String) -> HTML { "<bdi>\(text)</bdi>" }

  /// Pieces with something between them.
  static func joined(_ pieces: some Sequence<HTML>, by separator: HTML = "") -> HTML {
    HTML(markup: pieces.map(\.markup).joined(separator: separator.markup))
  }
}

extension HTML: ExpressibleByStringInterpolation {
  public init(stringLiteral value: String) { markup = value }

  public init(stringInterpolation: StringInterpolation) { markup = stringInterpolation.markup }

  public struct StringInterpolation: StringInterpolationProtocol {
    fileprivate var markup = ""

    public init(literalCapacity: Int, interpolationCount: Int) {
      markup.reserveCapacity(literalCapacity + 16 * interpolationCount)
    }

    public mutating func appendLiteral(_ literal: String) { markup += literal }
    public mutating func appendInterpolation(_ text: String) { markup += HTML.escaped(text) }
    public mutating func appendInterpolation(_ number: Int) { markup += String(number) }
    public mutating func appendInterpolation(_ html: HTML) { markup += html.markup }
    public mutating func appendInterpolation(_ pieces: [HTML]) {
      for piece in pieces { markup += piece.markup }
    }
  }
}
