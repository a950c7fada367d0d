import Foundation
import Foundations

/// Reads lists and tables whose size nobody has vouched for.
enum LayoutText {
  /// All bytes of a file.
  ///
  /// Throws ``PackError`` if it can't be read, is no file, or is larger than `limit` bytes.
  static func read(_ path: BytePath, limit: Int) throws -> [UInt8] {
    func failure(_ code: Int32) -> PackError {
      .inputOutput("\(path): can't be read: \(String(cString: strerror(code)))")
    }
    // Without blocking, should it be a pipe.
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw failure(errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw PackError.inputOutput("\(path): is no file, but a folder, a pipe or a device")
    }
    guard status.st_size <= limit else {
      throw PackError.badData(
        "\(path): has \(status.st_size) bytes, more than the \(limit) that are read of such a file")
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        Foundation.read(descriptor, $0.baseAddress! + done, $0.count - done)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw failure(errno) }
      if count == 0 { break }
      done += count
    }
    bytes.removeLast(bytes.count - done)
    return bytes
  }

  /// The JSON in a file's bytes; the error names the file.
  static func json(_ bytes: [UInt8], _ path: BytePath) throws -> JSON {
    do { return try JSON(parsing: bytes) } catch {
      throw PackError.badData("\(path): \(error)")
    }
  }

  /// Lines without their ends, and without a mark of byte order before the first.
  static func lines(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
    let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    return bytes[start...].split(separator: 10, omittingEmptySubsequences: false).map {
      $0.last == 13 ? $0.dropLast() : $0
    }
  }
}
