import Testing

@testable import FaceShards

@Suite struct SampleOrderTests {
  /// 13 real, 30 fake, mixed.
  private let labels: [UInt8] = (0..<43).map { $0 % 10 < 3 ? 0 : 1 }

  private func draws(
    _ order: SampleOrder, _ positions: Range<Int>
  ) -> [SampleDraw] {
    positions.map { order.draw(at: $0) }
  }

  @Test func uniformDrawsEverySampleOnceAnEpochReshuffled() throws {
    let order = try SampleOrder(labels: labels, kind: .uniform, seed: 1)
    #expect(order.epochLength == 43)
    var orders: [[Int]] = []
    for epoch in 0..<5 {
      let draws = draws(order, epoch * 43..<(epoch + 1) * 43)
      #expect(draws.map(\.sample).sorted() == Array(0..<43))
      #expect(draws.allSatisfy { $0.visit == epoch })
      orders.append(draws.map(\.sample))
    }
    #expect(Set(orders).count == 5)
    #expect(order.epoch(at: 42) == 0 && order.epoch(at: 43) == 1)
  }

  @Test func balancedBatchesAreHalfRealAndEpochsCoverTheLargerClass() throws {
    let order = try SampleOrder(labels: labels, kind: .balanced, seed: 1)
    let fakes = labels.filter { $0 == 1 }.count
    #expect(order.epochLength == 2 * fakes)
    for batch in [2, 4, 16, 32] {
      for step in 0..<40 {
        let draws = draws(order, step * batch..<(step + 1) * batch)
        #expect(draws.filter { labels[$0.sample] == 0 }.count == batch / 2)
      }
    }
    for epoch in 0..<3 {
      let draws = draws(order, epoch * order.epochLength..<(epoch + 1) * order.epochLength)
      let drawn = draws.filter { labels[$0.sample] == 1 }
      #expect(drawn.map(\.sample).sorted() == labels.indices.filter { labels[$0] == 1 })
      #expect(drawn.allSatisfy { $0.visit == epoch })
    }
  }

  @Test func balancedDrawsTheSmallerClassEvenlyAndNeverTheSameVisitTwice() throws {
    let order = try SampleOrder(labels: labels, kind: .balanced, seed: 4)
    let draws = draws(order, 0..<2000)
    #expect(Set(draws).count == draws.count)
    var counts = [Int](repeating: 0, count: labels.count)
    for draw in draws {
      #expect(draw.visit == counts[draw.sample], "a visit is the number of earlier draws")
      counts[draw.sample] += 1
    }
    for label: UInt8 in [0, 1] {
      let ofClass = labels.indices.filter { labels[$0] == label }.map { counts[$0] }
      #expect(ofClass.max()! - ofClass.min()! <= 1)
    }
  }

  @Test func sequentialIsAsStoredAndWrapsRound() throws {
    let order = try SampleOrder(labels: labels, kind: .sequential, seed: 9)
    #expect(
      draws(order, 0..<100)
        == (0..<100).map { SampleDraw(sample: $0 % 43, visit: $0 / 43) })
  }

  /// In epochs of the order's own length and of others, as where another rank has more samples.
  @Test(arguments: SampleOrderKind.allCases, [60, 43, 50, 97, 200])
  func aFirstDrawSinceAPositionIsOneThatNoOtherCameBefore(
    kind: SampleOrderKind, epochLength: Int
  ) throws {
    let order = try SampleOrder(labels: labels, kind: kind, seed: 3)
    for start in stride(from: 0, to: 5 * epochLength, by: epochLength) {
      var seen: Set<Int> = []
      for position in start..<start + epochLength {
        let isNew = seen.insert(order.draw(at: position).sample).inserted
        #expect(order.isFirstDraw(at: position, since: start) == isNew, "\(start), \(position)")
      }
    }
  }

  @Test(arguments: SampleOrderKind.allCases)
  func aPositionAloneDeterminesTheDraw(kind: SampleOrderKind) throws {
    let order = try SampleOrder(labels: labels, kind: kind, seed: 7)
    let all = draws(order, 0..<500)
    // A fresh order asked from the end backwards: a resume at any position.
    let resumed = try SampleOrder(labels: labels, kind: kind, seed: 7)
    for position in stride(from: 499, through: 0, by: -7) {
      #expect(resumed.draw(at: position) == all[position])
    }
  }

  @Test func seedsGiveDifferentOrders() throws {
    let orders = try (0..<10).map { seed in
      draws(try SampleOrder(labels: labels, kind: .uniform, seed: seed), 0..<43).map(\.sample)
    }
    #expect(Set(orders).count == 10)
  }

  @Test func shufflesAreUniform() throws {
    // All 24 orders of four samples, each about equally often.
    let order = try SampleOrder(labels: [0, 1, 0, 1], kind: .uniform, seed: 3)
    var counts: [[Int]: Int] = [:]
    for epoch in 0..<2400 {
      counts[draws(order, epoch * 4..<epoch * 4 + 4).map(\.sample), default: 0] += 1
    }
    #expect(counts.count == 24)
    let chiSquare = counts.values.reduce(0.0) { $0 + Double(($1 - 100) * ($1 - 100)) / 100 }
    #expect(chiSquare < 58)  // 23 degrees of freedom: mean 23, deviation 7
  }

  @Test func aMissingClassIsNamed() throws {
    let message = ShardFixtures.message {
      _ = try SampleOrder(labels: [1, 1, 1], kind: .balanced, seed: 0)
    }
    #expect(message?.contains("none of the 3 is real") == true)
    #expect(throws: Never.self) { try SampleOrder(labels: [1], kind: .uniform, seed: 0) }
  }

  @Test func partsAreContiguousCompleteAndEven() {
    for count in [0, 1, 5, 16, 1000, 1001] {
      for ranks in [1, 2, 3, 7, 64] {
        let parts = (0..<ranks).map { WorkDivision.part(of: count, rank: $0, ranks: ranks) }
        #expect(parts.flatMap(Array.init) == Array(0..<count))
        #expect(parts.map(\.count).max()! - parts.map(\.count).min()! <= 1)
      }
    }
  }
}
