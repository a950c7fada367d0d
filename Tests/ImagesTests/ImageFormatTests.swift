import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Images

/// WebP, TIFF, BMP, GIF, AVIF and HEIF against Pillow (Tests/Oracle/image_formats.py).
@Suite struct ImageFormatTests {
  struct Expected: Decodable {
    let file: String
    /// A PNG beside it that has the pixels.
    let picture: String
    /// Largest difference that is allowed.
    let tolerance: Int
  }

  static func files() throws -> [Expected] { try ImageGolden.load("Formats/expected.json") }

  private static func bytes(_ file: String) throws -> [UInt8] {
    try ImageGolden.bytes("Formats/" + file)
  }

  @Test(arguments: ["webp", "tif", "bmp", "gif", "avif", "heic"])
  func everyKindOfFileDecodesToPillowsPixels(ending: String) throws {
    let files = try Self.files().filter { $0.file.hasSuffix("." + ending) }
    #expect(files.count > 15)
    for expected in files {
      guard
        let image = try? ImageDecoder.decode(bytes: Self.bytes(expected.file), name: expected.file)
      else {
        Issue.record("\(expected.file) was refused")
        continue
      }
      let picture = try ImageDecoder.decode(
        bytes: Self.bytes(expected.picture), name: expected.picture)
      #expect(
        image.width == picture.width && image.height == picture.height,
        "\(expected.file): \(image.width)×\(image.height)")
      guard image.pixels.count == picture.pixels.count else { continue }
      let largest = zip(image.pixels, picture.pixels).map { abs(Int($0) - Int($1)) }.max()!
      #expect(largest <= expected.tolerance, "\(expected.file) differs by up to \(largest)")
    }
  }
}
