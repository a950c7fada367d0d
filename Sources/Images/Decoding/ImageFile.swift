import Foundation
import Foundations

/// The content of a file. Small files are read, large ones mapped, so that an image of hundreds of
/// megabytes costs only the pages being decoded. (A mapped file that something else cuts short while
/// it is read ends the process, as it would any reader.)
enum ImageFile {
  static let mappedFrom = 32 << 20

  static func withContents<Result>(
    of path: BytePath, _ body: (UnsafeRawBufferPointer) throws -> Result
  ) throws -> Result {
    func failure(_ what: String, _ code: Int32) -> ImageError {
      ImageError(
        name: path.description, reason: .inputOutput,
        detail: "\(what): \(String(cString: strerror(code)))")
    }
    // Without blocking: a pipe in the folder must not hang the run.
    let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NONBLOCK) }
    guard descriptor >= 0 else { throw failure("can't be opened", errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("can't be examined", errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw ImageError(
        name: path.description, reason: .notAnImage, detail: "not a regular file")
    }
    let length = Int(status.st_size)
    if length >= mappedFrom {
      guard let mapped = mmap(nil, length, PROT_READ, MAP_PRIVATE, descriptor, 0),
        mapped != MAP_FAILED
      else { throw failure("can't be mapped", errno) }
      defer { munmap(mapped, length) }
      return try body(UnsafeRawBufferPointer(start: mapped, count: length))
    }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(length, 1), alignment: 16)
    defer { buffer.deallocate() }
    var filled = 0
    while filled < length {
      let count = read(descriptor, buffer.baseAddress! + filled, length - filled)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw failure("can't be read", errno) }
      if count == 0 { break }
      filled += count
    }
    return try body(UnsafeRawBufferPointer(rebasing: buffer[..<filled]))
  }
}
