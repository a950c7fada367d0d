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
    #expect(alone.startFiles == 10_000)
  }

  /// What was counted on as many ranks of one host (`Tests/Scaling/count.py`), within a quarter.
  @Test func theStartHasAboutTheMessagesThatWereCounted() {
    for (ranks, counted) in [(4, 284), (8, 490), (16, 1144), (32, 2209)] {
      let ratio = Double(costs(ranks, perHost: ranks).startMessages) / Double(counted)
      #expect((0.75...1.25).contains(ratio), "\(ranks) ranks: \(ratio)")
    }
  }

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
    #expect(more.memoryBytes - large.memoryBytes == 20_000_000)
    let twice = costs(2000, perHost: 8)
    #expect(twice.startBytes - large.startBytes < 1_000_000)
    #expect(twice.startMessages <= 2 * large.startMessages + 100)
  }
}
