import Foundation

@testable import FaceShards
@testable import Images

/// Faces as files of mixed kinds and sizes, laid out for `rfm pack`:
/// `real/IDENTITY/NNN.ext` and `fake/METHOD/IDENTITY/NNN.ext`.
struct ImageFolder {
  let path: String
  /// Images of each method; "real" too.
  private(set) var counts: [String: Int] = [:]

  var count: Int { counts.values.reduce(0, +) }

  init(at path: String, from shards: [String]) throws {
    self.path = path
    var number = 0
    for file in shards {
      let shard = try Shard(reading: file)
      guard let sources = try shard.readSources() else { continue }
      for row in 0..<shard.count {
        var pixels = [UInt8](repeating: 0, count: shard.imageSize)
        try pixels.withUnsafeMutableBufferPointer { try shard.readImage(row, into: $0) }
        let image = RGBImage(width: shard.width, height: shard.height, pixels: pixels)
        let method = shard.methodNames[Int(shard.methods[row])]
        let folder = (method == "real" ? "real" : "fake/\(method)") + "/" + sources[row]
        let (bytes, ending) = try Self.encode(image, kind: number)
        try write(bytes, to: "\(folder)/\(String(format: "%03d", number)).\(ending)")
        counts[method, default: 0] += 1
        number += 1
      }
    }
  }

  /// Writes a file below the folder, and the folders that it lies in.
  func write(_ bytes: [UInt8], to name: String) throws {
    let url = URL(filePath: path + "/" + name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(bytes).write(to: url)
  }

  /// Kinds in turn.
  private static func encode(_ image: RGBImage, kind: Int) throws -> ([UInt8], String) {
    let wide = ImageResize.bilinear(image, width: 90, height: 66)
    let high = ImageResize.bilinear(image, width: 50, height: 81)
    func grey(_ image: RGBImage) -> [UInt8] {
      (0..<image.width * image.height).map { image.pixels[3 * $0 + 1] }
    }
    func twoBytes(_ samples: [UInt8]) -> [UInt8] { samples.flatMap { [$0, $0 ^ 0x5A] } }
    switch kind % 9 {
    case 0: return (try JPEGCodec.encode(image, quality: 92), "jpg")
    case 1: return (try JPEGCodec.encode(wide, quality: 85, subsampled: false), "jpeg")
    case 2: return (try PNGCodec.encode(high), "png")
    case 3:
      return (
        try PNGCodec.encode(grey: grey(wide), width: wide.width, height: wide.height), "png"
      )
    case 4:
      let samples = (0..<image.width * image.height).flatMap {
        image.pixels[3 * $0..<3 * $0 + 3] + [UInt8(truncatingIfNeeded: $0)]
      }
      return (
        PNGFile.encode(
          width: image.width, height: image.height, color: .rgbAlpha, depth: 8, samples: samples),
        "png"
      )
    case 5:
      return (
        PNGFile.encode(
          width: high.width, height: high.height, color: .rgb, depth: 16,
          samples: twoBytes(high.pixels)), "png"
      )
    case 6: return (Array("P6\n# a face\n90 66\n255\n".utf8) + wide.pixels, "ppm")
    case 7: return (Array("P5 50 81 65535\n".utf8) + twoBytes(grey(high)), "pgm")
    // The content counts, not the ending.
    default: return (try JPEGCodec.encode(high, quality: 90), "png")
    }
  }
}
