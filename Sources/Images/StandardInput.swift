import Foundation
import Foundations

/// What standard input holds where `-` stands for it: an image, or the names of images.
public enum StandardInput: Sendable, Equatable {
  /// The bytes of one image file; they may turn out not to be one.
  case image([UInt8])
  /// Files and folders, one a line; separated by zero bytes instead if there is one, as
  /// `find -print0` writes them.
  case list([BytePath])

  /// Most bytes that are read.
  static let limit = 1 << 30

  /// Everything that standard input holds.
  ///
  /// - Parameter waiting: called before each piece, and every second as long as none comes.
  /// - Throws: ``ImageError``.
  public static func read(waiting: () -> Void = {}) throws -> [UInt8] {
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    while true {
      var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      repeat { waiting() } while poll(&input, 1, 1000) == 0
      let count = Foundation.read(STDIN_FILENO, &buffer, buffer.count)
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else {
        throw ImageError(
          name: "-", reason: .inputOutput,
          detail: "standard input can't be read: \(String(cString: strerror(errno)))")
      }
      if count == 0 { return bytes }
      bytes += buffer[..<count]
      guard bytes.count <= limit else {
        throw ImageError(
          name: "-", reason: .tooLarge, detail: "standard input holds more than \(limit) bytes")
      }
    }
  }

  /// Whatever begins like a picture, of whichever format, is an image; so is nothing at all, which is
  /// an empty file. Anything else is a list.
  public init(_ bytes: [UInt8]) {
    switch bytes.withUnsafeBytes({ ImageFormat(of: $0) }) {
    case .other(nil):
      let separator: UInt8 = bytes.contains(0) ? 0 : UInt8(ascii: "\n")
      self = .list(
        bytes.split(separator: separator).compactMap { line in
          let isLine = separator != 0 && line.last == UInt8(ascii: "\r")
          let path = isLine ? line.dropLast() : line
          // "-" alone would stand for standard input again.
          if path.elementsEqual([UInt8(ascii: "-")]) { return BytePath("./-") }
          return path.isEmpty ? nil : BytePath(bytes: Array(path))
        })
    default: self = .image(bytes)
    }
  }
}
