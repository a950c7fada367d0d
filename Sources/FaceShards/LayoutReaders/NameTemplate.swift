import Foundations

/// A text with names in braces, to be filled in: `{target}-{donor}`.
struct NameTemplate: Equatable {
  private enum Piece: Equatable {
    case text(String)
    case named(String)
  }

  private var pieces: [Piece] = []
  private(set) var names: [String] = []

  /// Throws `PathTemplate.Problem`.
  init(_ text: String) throws {
    guard text.utf8.count <= 255, !text.isEmpty else {
      throw PathTemplate.Problem(text: "is empty or has more than 255 bytes")
    }
    var rest = text[...]
    while let open = rest.firstIndex(of: "{") {
      guard let close = rest[open...].firstIndex(of: "}") else {
        throw PathTemplate.Problem(text: "has { without }")
      }
      if open > rest.startIndex { pieces.append(.text(String(rest[..<open]))) }
      let name = String(rest[rest.index(after: open)..<close])
      pieces.append(.named(name))
      names.append(name)
      rest = rest[rest.index(after: close)...]
    }
    if !rest.isEmpty { pieces.append(.text(String(rest))) }
  }

  /// - Parameter values: of every name.
  func filled(_ values: [String: [UInt8]]) -> String {
    pieces.map { piece in
      switch piece {
      case .text(let text): text
      case .named(let name): LayoutFiles.text(values[name] ?? [])
      }
    }.joined()
  }
}
