import FaceShards
import Foundation
import Testing

@testable import Benchmarking

/// What is computed of a rank's part.
@Suite struct RankCostsTests {
  private func costs(
    _ ranks: Int, perHost: Int = 1, shards: Int = 10_000, images: Int = 10_000_000,
    _ change: (inout RankCosts.Job) -> Void = { _ in }
  ) -> RankCosts {
    var job = RankCosts.Job(
      ranks: ranks, ranksPerHost: perHost, shards: shards, images: images,
      weightBytes: 83_000_000, statisticsBytes: 200_000,
      bucketBytes: Array(repeating: 8_300_000, count: 10))
    change(&job)
    return RankCosts(job)
  }

  @Test func oneRankReceivesNothing() {
    let alone = costs(1)
    #expect(alone.startBytes == 0 && alone.startMessages == 0)
    #expect(alone.stepBytes == 0 && alone.stepMessages == 0)
    #expect(alone.startFiles == 10_000 && alone.allFiles == 10_000)
  }

  /// What was counted on as many ranks of one host (`Tests/Scaling/count.py`), with sums in memory and by
  /// messages; reports of status, which are sent by the clock, are two more at times.
  @Test func theStartHasTheMessagesThatWereCounted() {
    let counts = [
      (2, 122, 126), (4, 290, 304), (8, 592, 628), (16, 1156, 1238), (32, 2225, 2401),
      (64, 4322, 4688),
    ]
    for (ranks, inMemory, byMessages) in counts {
      let joined = costs(ranks, perHost: ranks).startMessages
      let flat = costs(ranks, perHost: ranks) { $0.isHierarchical = false }.startMessages
      for (computed, counted) in [(joined, inMemory), (flat, byMessages)] {
        #expect((0...2).contains(counted - computed), "\(ranks) ranks: \(computed)")
      }
      // A communicator for gradients, in place of two collectives.
      let rounds = RankCosts.rounds(ranks)
      #expect(flat - joined == byMessages - inMemory, "\(ranks) ranks")
      #expect(flat - joined == 6 * (ranks - 1) - 2 * rounds, "\(ranks) ranks")
    }
  }

  /// Ten communicators, forty-eight short collectives, and texts, which rank 0 has from each of the others.
  @Test func theStartHasTheMessagesOfItsCommunicatorsAndCollectives() {
    func messages(_ ranks: Int, perHost: Int, weights: Int = 1_000_000) -> Int {
      costs(ranks, perHost: perHost) { $0.weightBytes = weights }.startMessages
    }
    #expect(messages(2, perHost: 2) == 10 * 6 + 48 + 14)
    #expect(messages(64, perHost: 64) == 10 * 6 * 63 + 48 * 6 + 4 * 63)
    // Weights that are dealt out come in one part more from each of those who hand them round.
    #expect(messages(16, perHost: 16, weights: 1 << 20) == messages(16, perHost: 16) + 4)
    #expect(messages(32, perHost: 32, weights: 1 << 20) == messages(32, perHost: 32))
    // What the ranks of a host agree on is no matter of the others.
    #expect(messages(64, perHost: 8) < messages(64, perHost: 64))
  }

  /// To 16 to 31 ranks Open MPI 4 deals out what it hands round.
  @Test func weightsComeOnceOrUpToHalfOfThemTwice() {
    func part(_ ranks: Int) -> Double {
      let costs = costs(ranks) { $0.statisticsBytes = 0 }
      return Double(costs.startBytes) / 83_000_000
    }
    for (ranks, expected) in [(15, 1), (16, 1.4375), (24, 1.2917), (31, 1.4516), (32, 1)] {
      #expect((part(ranks) - expected).magnitude < 1e-3, "\(ranks) ranks: \(part(ranks))")
    }
  }

  // MARK: Files

  /// Shards of an image each in a folder that is removed afterwards.
  private func withShards(
    _ count: Int, images: Int = 1, side: Int = 4, _ body: (_ paths: [String]) throws -> Void
  ) throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rfm-test-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let paths = (0..<count).map { folder.appendingPathComponent("train-\(1000 + $0).h5").path }
    for path in paths {
      let writer = try ShardWriter(
        path: path, height: side, width: side, methodNames: ["real"], hasSources: false)
      for image in 0..<images {
        let pixels = [UInt8](repeating: UInt8(image % 256), count: side * side * 3)
        try writer.append(image: pixels, method: 0)
      }
      try writer.finish()
    }
    try body(paths)
  }

  /// Without one of the files that it reads there is no fingerprint.
  @Test func otherRanksOpenTheShardsThatTheFingerprintReads() throws {
    try withShards(70) { paths in
      for count in [1, 2, 31, 32, 33, 64, 65, 70] {
        let set = try ShardSet(paths: Array(paths.prefix(count)))
        let whole = try set.fingerprint()
        let read = try paths.prefix(count).count { path in
          for shard in set.shards { shard.close() }
          try FileManager.default.moveItem(atPath: path, toPath: path + ".away")
          defer { try? FileManager.default.moveItem(atPath: path + ".away", toPath: path) }
          return (try? set.fingerprint()) == nil
        }
        #expect(try set.fingerprint() == whole)
        #expect(costs(2, perHost: 2, shards: count).otherFiles == read, "\(count) shards")
      }
    }
  }

  @Test func everyHostOpensAllShardsAndEveryOtherRankSome() {
    let job = costs(1000, perHost: 8)
    #expect(job.startFiles == 10_000 && job.otherFiles == 32)
    #expect(job.allFiles == 125 * 10_000 + 875 * 32)
    let alone = costs(1000, perHost: 1)
    #expect(alone.allFiles == 1000 * 10_000)
    // The last host has fewer ranks.
    #expect(costs(10, perHost: 4, shards: 40).allFiles == 3 * 40 + 7 * 20)
  }

  @Test func anIndexTakesAboutAsMuchAsIsComputed() throws {
    try withShards(4, images: 300, side: 32) { paths in
      let kept = try ShardIndexFile(writing: paths)
      let ratio = Double(kept.bytes) / Double(RankCosts.indexBytes(images: 1200, shards: 4))
      #expect((0.75...1.25).contains(ratio), "\(kept.bytes) bytes")
    }
  }

  // MARK: Steps

  /// Twice the gradients but for a rank's own part of them, then the statistics likewise.
  @Test func aStepReceivesGradientsTwiceAtMost() {
    #expect(costs(2).stepBytes == 83_000_000 + 200_000 + RankCosts.wishBytes)
    #expect(costs(4).stepBytes == 3 * (83_000_000 + 200_000) / 2 + 2 * RankCosts.wishBytes)
    // Ten buckets and the statistics, there and back, and the wish.
    #expect(costs(4).stepMessages == 11 * 4 + 2)
    // The third rank of three hands all to a partner before.
    #expect(costs(3).stepMessages == 11 * 3 + 2)
    #expect(costs(1024).stepBytes < 2 * 83_200_000 + 10 * RankCosts.wishBytes)
  }

  @Test func hostsReceiveAsMuchAsOneRankEach() {
    let flat = costs(64, perHost: 8) { $0.isHierarchical = false }
    let joined = costs(64, perHost: 8)
    let statistics = 2 * 63 * 200_000 / 64 + 6 * RankCosts.wishBytes
    #expect(flat.stepBytes == 10 * (2 * 63 * 8_300_000 / 64) + statistics)
    #expect(joined.stepBytes == 10 * (2 * 7 * 8_300_000 / 8) + statistics)
    #expect(joined.stepMessages < flat.stepMessages)
    // On one host gradients are added up in memory.
    #expect(costs(8, perHost: 8).stepBytes == 2 * 7 * 200_000 / 8 + 3 * RankCosts.wishBytes)
  }

  @Test func compressionHalvesTheBytesAndWritesToEveryOther() {
    let compressed = costs(4) { $0.compression = .bfloat16 }
    #expect(compressed.stepBytes == 10 * (3 * 8_300_000 / 4) + 300_000 + 2 * RankCosts.wishBytes)
    #expect(compressed.stepMessages == 10 * 6 + 4 + 2)
  }

  /// 10 million images in 10,000 shards on 1,000 ranks: nothing grows with ranks times either.
  @Test func whatRanksTellEachOtherIsLittleBesideTheWeights() {
    let large = costs(1000, perHost: 8)
    #expect(large.startBytes < 83_200_000 + 1_000_000)
    #expect(large.startMessages < 100 * 1000 && large.startFiles == 10_000)
    #expect(large.memoryBytes < 40_000_000)
    let more = costs(1000, perHost: 8, shards: 20_000, images: 20_000_000)
    #expect(more.startBytes == large.startBytes && more.stepBytes == large.stepBytes)
    #expect(more.memoryBytes - large.memoryBytes == 12_500_000 + 10_000 * 256)
    let twice = costs(2000, perHost: 8)
    #expect(twice.startBytes - large.startBytes < 1_000_000)
    #expect(twice.startMessages <= 2 * large.startMessages + 100)
  }
}
