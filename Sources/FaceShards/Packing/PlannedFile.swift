import Foundations

/// A file of a plan, with all that packing it needs.
struct PlannedFile: Equatable {
  /// Below the input folder.
  var path: BytePath
  /// Place in ``PackPlan/methods``.
  var method: Int
  var source: String
  var isVideo = false
  /// The file that shows what was forged.
  var mask: BytePath?

  func path(below root: BytePath) -> BytePath { root.appending(path.bytes) }
}

/// Files as bytes. Names and paths hold no zero byte, so that every field can end with one.
extension PlannedFile {
  static func encode(_ files: [PlannedFile]) -> [UInt8] {
    var bytes: [UInt8] = []
    for file in files {
      let fields: [[UInt8]] = [
        Array(String(file.method).utf8), Array(file.source.utf8), [file.isVideo ? 49 : 48],
        file.path.bytes, file.mask?.bytes ?? [],
      ]
      for field in fields {
        bytes += field
        bytes.append(0)
      }
    }
    return bytes
  }

  /// Nil if the bytes are not what ``encode(_:)`` makes.
  static func decode(_ bytes: [UInt8]) -> [PlannedFile]? {
    let fields = bytes.split(separator: 0, omittingEmptySubsequences: false)
    guard fields.last?.isEmpty == true, fields.count % 5 == 1 else { return nil }
    var files: [PlannedFile] = []
    for first in stride(from: 0, to: fields.count - 1, by: 5) {
      let field = fields[first...]
      guard let method = Int(String(decoding: field[first], as: UTF8.self)),
        let source = String(validating: field[first + 1], as: UTF8.self)
      else { return nil }
      let mask = field[first + 4]
      files.append(
        PlannedFile(
          path: BytePath(bytes: Array(field[first + 3])), method: method, source: source,
          isVideo: field[first + 2].elementsEqual([49]),
          mask: mask.isEmpty ? nil : BytePath(bytes: Array(mask))))
    }
    return files
  }
}

extension PackPlan {
  /// Some of the files, in order.
  func files(_ range: Range<Int>) -> [PlannedFile] {
    items[range].map {
      PlannedFile(
        path: $0.path, method: $0.method, source: sources[$0.source], isVideo: $0.isVideo,
        mask: $0.mask)
    }
  }
}
