import Foundation
import TestSupport
import Testing

@testable import FaceShards
@testable import Tensors

@Suite struct ShardDamageTests {
  /// Reads everything that a shard has.
  private func readAll(_ path: String) throws {
    let shard = try Shard(reading: path)
    var bytes = [UInt8](repeating: 0, count: shard.imageSize)
    try bytes.withUnsafeMutableBufferPointer { buffer in
      for row in 0..<min(shard.count, 100) {
        try shard.readImage(row, into: buffer)
        if shard.hasMasks { try shard.readMask(row, into: buffer) }
      }
    }
    _ = try shard.readSources()
    _ = try shard.readPaths()
  }

  @Test(arguments: ["as-written.h5", "contiguous.h5", "compressed.h5", "latest.h5"])
  func damageAnywhereIsAnErrorOrWithoutEffectButNeverACrash(name: String) throws {
    let folder = TemporaryFolder()
    let original = try Data(contentsOf: URL(filePath: ShardFixtures.golden(name)))
    let path = folder(name)
    let rounds = ProcessInfo.processInfo.environment["RFM_FUZZ_ROUNDS"].flatMap(Int.init) ?? 50
    let seed = ProcessInfo.processInfo.environment["RFM_FUZZ_SEED"].flatMap(UInt64.init) ?? 0
    var refused = 0
    for round in 0..<rounds {
      var generator = CounterGenerator(seed: seed, sample: UInt64(round), purpose: .synthesis)
      var bytes = original
      for _ in 0...generator.below(3) {
        let place = generator.below(bytes.count)
        switch generator.below(4) {
        case 0: bytes[place] ^= 1 << UInt8(generator.below(8))
        case 1: bytes[place] = UInt8(generator.below(256))
        case 2: bytes[place] = 255
        default:
          for i in place..<min(place + 8, bytes.count) { bytes[i] = UInt8(generator.below(256)) }
        }
      }
      try bytes.write(to: URL(filePath: path))
      do { try readAll(path) } catch {
        refused += 1
        #expect("\(error)".hasPrefix(path) && !"\(error)".contains("\n"))
      }
    }
    #expect(refused > 0)
  }
}
