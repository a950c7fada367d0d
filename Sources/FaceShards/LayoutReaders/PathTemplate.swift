import Foundations

/// A pattern of paths with names in it: `fakes/{method}/**/{target}_{donor}-*.png`.
///
/// `*` stands for any text within a name, `**` as a whole part for any number of folders, none
/// included, or at the end for whatever lies below, and `{name}` for at least one character within a name, which the match gives. The first
/// of several ways to match is taken, where each stands for as little as it can.
struct PathTemplate: Equatable {
  private enum Piece: Equatable {
    case text([UInt8])
    case any
    case named(String)
  }

  private enum Part: Equatable {
    case folders
    case name([Piece])
  }

  struct Problem: Error {
    let text: String
  }

  private let parts: [Part]
  /// In their order.
  let names: [String]

  static let maximumBytes = 1024

  init(_ text: String) throws {
    guard text.utf8.count <= Self.maximumBytes else {
      throw Problem(text: "has more than \(Self.maximumBytes) bytes")
    }
    var parts: [Part] = []
    var names: [String] = []
    for part in BytePath(text).components where part != [46] {
      if part == Array("**".utf8) {
        // Two in a row are one.
        if parts.last != .folders { parts.append(.folders) }
        continue
      }
      var pieces: [Piece] = []
      var rest = part[...]
      while let byte = rest.popFirst() {
        switch byte {
        case UInt8(ascii: "*"):
          if pieces.last != .any { pieces.append(.any) }
        case UInt8(ascii: "{"):
          guard let end = rest.firstIndex(of: UInt8(ascii: "}")) else {
            throw Problem(text: "has { without }")
          }
          let name = String(decoding: rest[..<end], as: UTF8.self)
          guard !name.isEmpty, name.utf8.allSatisfy(Self.isWord) else {
            throw Problem(text: "has {\(printable(name))}: names are of letters, digits and _")
          }
          guard !names.contains(name) else { throw Problem(text: "has {\(name)} twice") }
          names.append(name)
          pieces.append(.named(name))
          rest = rest[(end + 1)...]
        case UInt8(ascii: "}"): throw Problem(text: "has } without {")
        default:
          if case .text(let before)? = pieces.last {
            pieces[pieces.count - 1] = .text(before + [byte])
          } else {
            pieces.append(.text([byte]))
          }
        }
      }
      parts.append(.name(pieces))
    }
    guard !parts.isEmpty else { throw Problem(text: "is empty") }
    self.parts = parts
    self.names = names
  }

  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case 48...57, 65...90, 97...122, 95: true
    default: false
    }
  }

  /// What the names stand for; nil if the path doesn't match.
  func match(_ path: BytePath) -> [String: [UInt8]]? {
    let components = path.components
    // From the end, which of the parts from there on match which components: time is bounded by the
    // product of both.
    var matches = [[Bool]](
      repeating: [Bool](repeating: false, count: components.count + 1), count: parts.count + 1)
    matches[parts.count][components.count] = true
    for part in parts.indices.reversed() {
      for place in (0...components.count).reversed() {
        switch parts[part] {
        case .folders:
          // At the end it stands for the file too.
          matches[part][place] =
            part == parts.count - 1
            ? place < components.count
            : matches[part + 1][place]
              || place < components.count - 1 && matches[part][place + 1]
        case .name(let pieces):
          matches[part][place] =
            place < components.count && matches[part + 1][place + 1]
            && Self.match(pieces, components[place]) != nil
        }
      }
    }
    guard matches[0][0] else { return nil }
    var found: [String: [UInt8]] = [:]
    var (part, place) = (0, 0)
    while part < parts.count {
      switch parts[part] {
      case .folders:
        if part == parts.count - 1 || matches[part + 1][place] { part += 1 } else { place += 1 }
      case .name(let pieces):
        found.merge(Self.match(pieces, components[place])!) { $1 }
        part += 1
        place += 1
      }
    }
    return found
  }

  private static func match(_ pieces: [Piece], _ name: [UInt8]) -> [String: [UInt8]]? {
    // Which pieces from there on match the rest of the name.
    var matches = [[Bool]](
      repeating: [Bool](repeating: false, count: name.count + 1), count: pieces.count + 1)
    matches[pieces.count][name.count] = true
    for piece in pieces.indices.reversed() {
      for place in (0...name.count).reversed() {
        switch pieces[piece] {
        case .text(let text):
          matches[piece][place] =
            place + text.count <= name.count && matches[piece + 1][place + text.count]
            && name[place..<place + text.count].elementsEqual(text)
        case .any:
          matches[piece][place] =
            matches[piece + 1][place] || place < name.count && matches[piece][place + 1]
        case .named:
          // At least one, then as for any.
          matches[piece][place] =
            place < name.count && (matches[piece + 1][place + 1] || matches[piece][place + 1])
        }
      }
    }
    guard matches[0][0] else { return nil }
    var found: [String: [UInt8]] = [:]
    var place = 0
    for (index, piece) in pieces.enumerated() {
      switch piece {
      case .text(let text): place += text.count
      case .any:
        while !matches[index + 1][place] { place += 1 }
      case .named(let text):
        let start = place
        place += 1
        while !matches[index + 1][place] { place += 1 }
        found[text] = Array(name[start..<place])
      }
    }
    return found
  }
}
