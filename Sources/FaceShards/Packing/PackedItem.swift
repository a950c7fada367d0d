import Foundation
import Foundations

/// A face as it is stored.
struct PackedFace: Equatable {
  /// [size, size, 3] RGB.
  var pixels: [UInt8]
  /// [size, size], 255 where forged; `nil` where the shards have no masks.
  var mask: [UInt8]?
  /// `nil` where no faces were looked for and the file is no video.
  var origin: FaceOrigin?
}

/// What became of one file.
struct PackedItem: Equatable {
  /// Place in ``PackPlan/items``.
  var item: Int
  /// The file as it was read; a file that has changed since is read again.
  var identity: FileIdentity
  /// Faces that were stored.
  var faces = 0
  /// Frames that were looked at, of a video.
  var frames = 0
  /// Those of them on which no face was found.
  var framesWithoutFace = 0
  /// Why nothing was stored.
  var skipped: String?
  /// What else the user should know.
  var notes: [String] = []
}

/// Tells whether a file is still the one that was read.
struct FileIdentity: Equatable {
  var size: Int
  var seconds: Int
  var nanoseconds: Int

  init(size: Int, seconds: Int, nanoseconds: Int) {
    (self.size, self.seconds, self.nanoseconds) = (size, seconds, nanoseconds)
  }

  /// Of the file at `path`; all zero where there is none.
  init(of path: BytePath) {
    var status = stat()
    guard path.withCString({ stat($0, &status) }) == 0 else {
      self.init(size: 0, seconds: 0, nanoseconds: 0)
      return
    }
    self.init(
      size: Int(status.st_size), seconds: status.st_mtim.tv_sec,
      nanoseconds: status.st_mtim.tv_nsec)
  }
}

/// What became of files, as it stays in files: fields that end with a zero byte.
extension PackedItem {
  static func encode(_ items: [PackedItem]) -> [UInt8] {
    var bytes: [UInt8] = []
    func put(_ text: String) {
      bytes += text.utf8.filter { $0 != 0 }
      bytes.append(0)
    }
    for item in items {
      let identity = item.identity
      for number in [
        item.item, identity.size, identity.seconds, identity.nanoseconds, item.faces, item.frames,
        item.framesWithoutFace, item.skipped == nil ? 0 : 1, item.notes.count,
      ] { put("\(number)") }
      if let reason = item.skipped { put(reason) }
      for note in item.notes { put(note) }
    }
    return bytes
  }

  /// Nil if the bytes are not what ``encode(_:)`` makes.
  static func decode(_ bytes: some Sequence<UInt8>) -> [PackedItem]? {
    var fields = [UInt8](bytes).split(separator: 0, omittingEmptySubsequences: false)
      .dropLast().map { String(decoding: $0, as: UTF8.self) }[...]
    var items: [PackedItem] = []
    while !fields.isEmpty {
      let numbers = fields.prefix(9).compactMap(Int.init)
      fields = fields.dropFirst(9)
      guard numbers.count == 9, numbers[7] == 0 || numbers[7] == 1, numbers[8] >= 0,
        fields.count >= numbers[7] + numbers[8]
      else { return nil }
      let texts = [String](fields.prefix(numbers[7] + numbers[8]))
      fields = fields.dropFirst(texts.count)
      items.append(
        PackedItem(
          item: numbers[0],
          identity: FileIdentity(size: numbers[1], seconds: numbers[2], nanoseconds: numbers[3]),
          faces: numbers[4], frames: numbers[5], framesWithoutFace: numbers[6],
          skipped: numbers[7] == 1 ? texts[0] : nil,
          notes: [String](texts.dropFirst(numbers[7]))))
    }
    return items
  }
}
