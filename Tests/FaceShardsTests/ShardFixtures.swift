import Foundation

@testable import FaceShards

/// A folder that goes with its owner.
final class ShardFolder: Sendable {
  let path: String

  init() throws {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent(
      "rfm-shards-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.path
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }

  var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted()
  }
}

/// Images whose every byte is known.
enum ShardFixtures {
  static func image(_ i: Int, height: Int, width: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for y in 0..<height {
      for x in 0..<width {
        for c in 0..<3 {
          bytes.append(UInt8(truncatingIfNeeded: i * 37 + y * 11 + x * 5 + c * 71))
        }
      }
    }
    return bytes
  }

  static func mask(_ i: Int, height: Int, width: Int) -> [UInt8] {
    (0..<height * width).map { $0 % (i + 2) == 0 ? 255 : 0 }
  }

  /// Writes a shard of the images numbered from `first` whose methods are given.
  static func write(
    _ path: String, methods: [Int], names: [String] = ["real", "blend", "grid"], first: Int = 0,
    height: Int = 8, width: Int = 10, gzip: Int? = nil, masks: Bool = false, paths: Bool = false
  ) throws {
    let writer = try ShardWriter(
      path: path, height: height, width: width, methodNames: names, gzip: gzip, hasPaths: paths,
      hasMasks: masks)
    for (row, method) in methods.enumerated() {
      try writer.append(
        image: image(first + row, height: height, width: width), method: method,
        source: "video-\((first + row) / 2)", path: paths ? "p/\(first + row).png" : nil,
        mask: masks ? mask(row, height: height, width: width) : nil)
    }
    try writer.finish()
  }

  static func golden(_ name: String) -> String {
    Bundle.module.resourceURL!.appendingPathComponent("Golden/Shards/\(name)").path
  }

  /// The message of the error that `body` throws, or `nil`.
  static func message(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return "\(error)" }
    return nil
  }
}
