import Foundation
import TestSupport
import Testing

@testable import FaceShards

/// Images whose every byte is known.
enum ShardFixtures {
  /// Damages a shard so that it can't be opened, without a trace in what an index file is checked by.
  static func damageUnseen(_ path: String) throws {
    var status = stat()
    try #require(stat(path, &status) == 0)
    let file = open(path, O_WRONLY)
    defer { close(file) }
    try #require(pwrite(file, "nothing!", 8, 0) == 8)
    var times = [status.st_atim, status.st_mtim]
    try #require(futimens(file, &times) == 0)
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
        image: KnownImage.pixels(first + row, height: height, width: width), method: method,
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
