import Foundation
import Foundations

/// The faces of a ``PackUnit``, in a file that waits until its shard is written: rows of one size, then
/// what became of the unit's files, then a foot that says how much of both there is and a digest of them.
///
/// It gets its name when it is complete, but is not flushed: after a loss of power its foot may be missing
/// or its digest wrong, and then the unit is read again.
struct PackPart {
  /// What every row has.
  struct Row: Equatable {
    let size: Int
    let hasMasks: Bool
    let hasOrigins: Bool
    let hasLandmarks: Bool

    /// Item, pixels, mask, frame, box, landmarks.
    var bytes: Int {
      4 + size * size * (hasMasks ? 4 : 3)
        + (hasOrigins ? 20 + (hasLandmarks ? FaceOrigin.landmarkCount * 8 : 0) : 0)
    }
  }

  private static let magic: UInt64 = 0x7266_6d50_6172_7431
  /// Magic number, rows, bytes of the items, digest; 8 bytes each.
  private static let footSize = 32

  let path: String
  let row: Row
  let rows: Int
  let items: [PackedItem]
  private let digest: UInt64

  /// Nil if there is no complete part at `path`.
  init?(at path: String, row: Row) throws {
    guard access(path, F_OK) == 0 else { return nil }
    let file = try FileReader(opening: path)
    guard file.size >= Self.footSize else { return nil }
    var foot = [UInt64](repeating: 0, count: 4)
    let footAt = file.size - Self.footSize
    guard try foot.withUnsafeMutableBytes({ try file.read(into: $0, at: footAt) }) == Self.footSize,
      foot[0] == Self.magic, let rows = Int(exactly: foot[1]), rows <= footAt / row.bytes,
      let length = Int(exactly: foot[2]), rows * row.bytes + length == footAt
    else { return nil }
    var bytes = [UInt8](repeating: 0, count: length)
    guard
      try bytes.withUnsafeMutableBytes({ try file.read(into: $0, at: footAt - length) }) == length,
      let items = PackedItem.decode(bytes), items.reduce(0, { $0 + $1.faces }) == rows
    else { return nil }
    (self.path, self.row, self.rows, self.items, digest) = (path, row, rows, items, foot[3])
  }

  /// Calls `body` with every face and its item, in order.
  ///
  /// - Throws: ``ShardError`` after the last if the file is not as it was written.
  func read(_ body: (_ item: Int, _ face: PackedFace) throws -> Void) throws {
    let file = try FileReader(opening: path)
    var sum = ContentsDigest()
    var bytes = [UInt8](repeating: 0, count: row.bytes)
    for place in 0..<rows {
      let count = try bytes.withUnsafeMutableBytes {
        try file.read(into: $0, at: place * row.bytes)
      }
      guard count == row.bytes else { throw Self.damaged(path) }
      sum.add(bytes)
      let (item, face) = decode(bytes)
      try body(item, face)
    }
    sum.add(PackedItem.encode(items))
    guard sum.value == digest else { throw Self.damaged(path) }
  }

  static func damaged(_ path: String) -> ShardError {
    ShardError(
      file: path, reason: "it was damaged since it was written: remove it and start again",
      isInputOutput: true)
  }

  private func decode(_ bytes: [UInt8]) -> (Int, PackedFace) {
    bytes.withUnsafeBytes { raw in
      var offset = 0
      func take<T: BitwiseCopyable>(_: T.Type) -> T {
        defer { offset += MemoryLayout<T>.size }
        return raw.loadUnaligned(fromByteOffset: offset, as: T.self)
      }
      func take(_ count: Int) -> [UInt8] {
        defer { offset += count }
        return Array(raw[offset..<offset + count])
      }
      let item = Int(take(Int32.self))
      var face = PackedFace(pixels: take(row.size * row.size * 3))
      if row.hasMasks { face.mask = take(row.size * row.size) }
      if row.hasOrigins {
        var origin = FaceOrigin(frame: take(Int32.self), box: take(SIMD4<Float>.self))
        if row.hasLandmarks {
          origin.landmarks = (0..<FaceOrigin.landmarkCount).map { _ in take(SIMD2<Float>.self) }
        }
        face.origin = origin
      }
      return (item, face)
    }
  }

  /// Writes a part, row by row as they come; the file has its name when `body` has returned.
  static func write(
    to path: String, row: Row, _ body: (borrowing Writer) throws -> [PackedItem]
  ) throws {
    let beside = DurableFile.beside(path)
    do {
      let writer = try Writer(beside, row: row)
      try writer.close(try body(writer))
      guard rename(beside, path) == 0 else { throw FileError(operation: "rename to", path: path) }
    } catch {
      unlink(beside)
      throw error
    }
  }

  /// Rows of a part that grows.
  final class Writer {
    private let file: FileWriter
    private let row: Row
    private var rows = 0
    private var digest = ContentsDigest()

    fileprivate init(_ path: String, row: Row) throws {
      file = try FileWriter(creating: path)
      self.row = row
    }

    func append(_ face: PackedFace, of item: Int) throws {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(row.bytes)
      func put(_ value: some BitwiseCopyable) { withUnsafeBytes(of: value) { bytes += $0 } }
      put(Int32(item))
      bytes += face.pixels
      if row.hasMasks { bytes += face.mask ?? [UInt8](repeating: 0, count: row.size * row.size) }
      if row.hasOrigins, let origin = face.origin {
        put(origin.frame)
        put(origin.box)
        if row.hasLandmarks { for point in origin.landmarks ?? [] { put(point) } }
      }
      precondition(bytes.count == row.bytes, "a face has what every row has")
      digest.add(bytes)
      try bytes.withUnsafeBytes { try file.write($0) }
      rows += 1
    }

    fileprivate func close(_ items: [PackedItem]) throws {
      let bytes = PackedItem.encode(items)
      digest.add(bytes)
      let foot = [PackPart.magic, UInt64(rows), UInt64(bytes.count), digest.value]
      try bytes.withUnsafeBytes { try file.write($0) }
      try foot.withUnsafeBytes { try file.write($0) }
    }
  }
}
