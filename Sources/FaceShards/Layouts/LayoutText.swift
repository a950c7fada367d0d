import Foundation
import Foundations

/// Reads lists and tables whose size nobody has vouched for.
enum LayoutText {
  /// All bytes of a file.
  ///
  /// Throws ``PackError`` if it can't be read, is no file, or is larger than `limit` bytes.
  static func read(_ path: BytePath, limit: Int) throws -> [UInt8] {
    try read(path) { size in
      guard size <= limit else {
        throw PackError.badData(
          "\(path): has \(size) bytes, more than the \(limit) that are read of such a file")
      }
      return size
    }
  }

  /// The first bytes of a file, 4,096 at most.
  ///
  /// Throws ``PackError`` if it can't be read, or is no file.
  static func head(_ path: BytePath) throws -> [UInt8] { try read(path) { min($0, 4096) } }

  /// - Parameter wanted: how many bytes of a file of that size.
  private static func read(_ path: BytePath, _ wanted: (Int) throws -> Int) throws -> [UInt8] {
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
    var bytes = [UInt8](repeating: 0, count: try wanted(Int(status.st_size)))
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

  /// The whole path without links; nil if nothing is there.
  static func realPath(_ path: BytePath) -> BytePath? {
    guard let resolved = path.withCString({ realpath($0, nil) }) else { return nil }
    defer { free(resolved) }
    return resolved.withMemoryRebound(to: UInt8.self, capacity: strlen(resolved)) {
      BytePath(bytes: Array(UnsafeBufferPointer(start: $0, count: strlen(resolved))))
    }
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
