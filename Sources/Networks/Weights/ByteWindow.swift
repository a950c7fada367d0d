import CZLib
import Foundations

/// A file whose parts are read as they are asked for, by whoever holds it.
///
/// Not mapped into memory: a file that shrinks meanwhile must give an error, not a signal.
final class OpenFile {
  let path: String
  private let reader: FileReader

  /// Bytes in the file when it was opened.
  var size: Int { reader.size }

  /// - Throws: `FileError`.
  init(opening path: String) throws {
    self.path = path
    reader = try FileReader(opening: path)
  }

  /// Fills `bytes` from `offset` on.
  /// - Throws: ``TensorFileError`` where the file ends before, `FileError`.
  func read(into bytes: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard try reader.read(into: bytes, at: offset) == bytes.count else {
      throw TensorFileError(path: path, tensor: nil, problem: "became shorter while it was read")
    }
  }

  /// The bytes at `range`, which must lie inside the file.
  func bytes(_ range: Range<Int>) throws -> [UInt8] {
    precondition(range.lowerBound >= 0 && range.upperBound <= size, "\(range) of \(size) bytes")
    return try [UInt8](unsafeUninitializedCapacity: range.count) { buffer, count in
      let target = UnsafeMutableRawBufferPointer(
        start: buffer.baseAddress, count: range.count)
      try read(into: target, at: range.lowerBound)
      count = range.count
    }
  }
}

/// CRC-32 of bytes that come in pieces, as ZIP archives have it.
struct Checksum {
  private(set) var value: UInt32 = 0

  mutating func update(_ bytes: UnsafeRawBufferPointer) {
    value = rfm_crc32(value, bytes.baseAddress, bytes.count)
  }
}

/// Bytes taken one after the other, out of memory or out of a range of a file.
struct ByteWindow {
  /// More was asked for than there is.
  struct Ended: Error {}

  private let file: OpenFile?
  private var buffer: [UInt8]
  private var index = 0
  /// Where in the file (or in memory) the buffer begins, and where the window ends.
  private var bufferStart: Int
  private let end: Int

  /// Where the next byte lies in the file or in memory.
  var position: Int { bufferStart + index }
  /// Bytes that are left.
  var remaining: Int { end - position }

  init(_ bytes: [UInt8]) {
    file = nil
    buffer = bytes
    bufferStart = 0
    end = bytes.count
  }

  init(_ file: OpenFile, _ range: Range<Int>) {
    self.file = file
    buffer = []
    bufferStart = range.lowerBound
    end = range.upperBound
  }

  mutating func byte() throws -> UInt8 {
    if index == buffer.count { try refill() }
    defer { index += 1 }
    return buffer[index]
  }

  /// - Throws: ``Ended`` before anything is reserved for what is not there.
  mutating func take(_ count: Int) throws -> [UInt8] {
    guard count >= 0, count <= remaining else { throw Ended() }
    if count <= buffer.count - index {
      defer { index += count }
      return Array(buffer[index..<index + count])
    }
    // Only a window on a file has more than its buffer.
    let start = position
    let bytes = try file!.bytes(start..<start + count)
    try skip(count)
    return bytes
  }

  mutating func skip(_ count: Int) throws {
    guard count >= 0, count <= remaining else { throw Ended() }
    if count <= buffer.count - index {
      index += count
    } else {
      bufferStart = position + count
      buffer = []
      index = 0
    }
  }

  /// An integer of `size` bytes, little-endian, without sign.
  mutating func unsigned(_ size: Int) throws -> UInt64 {
    var value = UInt64(0)
    for place in 0..<size { value |= UInt64(try byte()) << UInt64(8 * place) }
    return value
  }

  private mutating func refill() throws {
    guard let file, remaining > 0 else { throw Ended() }
    let start = position
    buffer = try file.bytes(start..<start + Swift.min(remaining, 1 << 16))
    bufferStart = start
    index = 0
  }
}
