import Foundation
import Foundations

/// What the pictures of files are called: of each path a name of its own, known before anything is
/// drawn, so that no picture ever takes the place of another one.
///
/// A path's name is its last component without the extension, as file systems and shells like it.
/// Where several would be the same, or a name is too long, it is followed by the path's place among
/// all paths in the order of their bytes, from 0: `face-0`, `face-2`. Names count as the same if they
/// differ only in the case of letters, in how accents are composed, or in width, as many file systems
/// have it. Neither the order in which paths are given nor the number of ranks changes a name.
struct PictureNames: Sendable {
  private let names: [String]

  /// - Parameter paths: of files; `-` is standard input.
  init(_ paths: [BytePath]) {
    let stems = paths.map(Self.stem)
    let keys = stems.map(FileName.key)
    var counts: [String: Int] = [:]
    for key in keys { counts[key, default: 0] += 1 }
    var names = stems
    var taken = Set<String>()
    var others: [(place: Int, index: Int)] = []
    let order = paths.indices.sorted { (paths[$0], $0) < (paths[$1], $1) }
    for (place, index) in order.enumerated() {
      if counts[keys[index]] == 1, stems[index].utf8.count <= FileName.limit {
        taken.insert(keys[index])
      } else {
        others.append((place, index))
      }
    }
    // The names that need no number stand: a file may well be called face-0.
    for (place, index) in others {
      let numbered = "\(FileName.shortened(stems[index]))-\(place)"
      var name = numbered
      var more = 2
      while !taken.insert(FileName.key(name)).inserted {
        name = "\(numbered)-\(more)"
        more += 1
      }
      names[index] = name
    }
    self.names = names
  }

  subscript(index: Int) -> String { names[index] }

  private static func stem(_ path: BytePath) -> String {
    if path.bytes == [UInt8(ascii: "-")] { return "stdin" }
    let name = path.components.last ?? []
    guard let dot = name.lastIndex(of: UInt8(ascii: ".")), dot > 0 else {
      return FileName.safe(BytePath.printable(name))
    }
    return FileName.safe(BytePath.printable(Array(name[..<dot])))
  }
}

/// Texts as parts of file names.
enum FileName {
  /// Bytes of a part. Names of 255 bytes are the most that file systems take; numbers, what a picture
  /// shows, its extension, and what is behind a name while it is written need some of them.
  static let limit = 200

  /// A text with what file systems and shells dislike, and what can't be seen, replaced by `_`.
  static func safe(_ text: String) -> String {
    var name = String.UnicodeScalarView()
    var follows = false
    for scalar in text.unicodeScalars {
      // A mark belongs to a letter, and is nothing by itself.
      let isKept =
        !scalar.properties.isDefaultIgnorableCodePoint
        && (scalar.isMark
          ? follows
          : scalar.properties.isAlphabetic || scalar.properties.numericType != nil
            || "-_+.".unicodeScalars.contains(scalar))
      name.append(isKept ? scalar : "_")
      follows = isKept && (scalar.isMark || scalar.properties.isAlphabetic)
    }
    if name.isEmpty || name.first == "." { name.insert("_", at: name.startIndex) }
    return String(name)
  }

  /// As much of a name's beginning as fits.
  static func shortened(_ name: String) -> String {
    var short = String.UnicodeScalarView()
    var length = 0
    for scalar in name.unicodeScalars {
      length += UTF8.width(scalar)
      if length > limit { break }
      short.append(scalar)
    }
    return String(short)
  }

  /// The same text for names that some file system takes for the same.
  static func key(_ name: String) -> String {
    if name.utf8.allSatisfy({ $0 < 0x80 }) { return name.lowercased() }
    let folded = name.decomposedStringWithCompatibilityMapping.uppercased().lowercased()
    return folded.decomposedStringWithCompatibilityMapping
  }
}
