import Testing

@testable import FaceShards

/// Orders of which some fakes, or all, are made of real faces.
@Suite struct SelfBlendedOrderTests {
  /// 15 real, 28 fake, mixed.
  private let labels: [UInt8] = (0..<43).map { $0 % 10 < 3 ? 0 : 1 }
  private static let shares = [0.1, 0.25, 1.0 / 3, 0.5, 0.9, 1]

  private func order(_ share: Double, labels: [UInt8]? = nil, seed: UInt64 = 3) throws
    -> SampleOrder
  {
    try SampleOrder(
      labels: labels ?? self.labels, kind: .balanced, seed: seed, selfBlended: .init(share))
  }

  @Test(arguments: [0.1, 0.25, 1.0 / 3, 0.5, 0.7, 0.9, 1])
  func ofTheFirstFakesTheShareIsMadeOfRealFaces(share: Double) {
    let it = SelfBlendedShare(share)
    for fakes in 0..<2000 {
      // Of 1,000 thirds are 333.
      let exact = Int((Double(fakes) * share + 1e-6).rounded(.down))
      #expect(it.count(of: fakes) == exact)
      #expect((0...1).contains(it.count(of: fakes + 1) - it.count(of: fakes)))
    }
    #expect(it.count(of: 1 << 40) <= 1 << 40)
    #expect(it.isWhole == (share == 1) && !it.isNone && SelfBlendedShare(0).isNone)
    #expect(abs(it.value - share) < 1e-9)
  }

  @Test(arguments: shares) func batchesStayHalfRealAndFakesAreSpreadEvenly(share: Double) throws {
    let order = try order(share)
    var made = 0
    for group in 0..<500 {
      let (real, fake) = (order.draw(at: 2 * group), order.draw(at: 2 * group + 1))
      #expect(labels[real.sample] == 0 && !real.isSelfBlended)
      #expect(labels[fake.sample] == (fake.isSelfBlended ? 0 : 1))
      made += fake.isSelfBlended ? 1 : 0
      #expect(made == order.selfBlended.count(of: group + 1))
    }
  }

  /// Of each sequence every sample comes once a visit, and a visit is the number of draws before.
  @Test(arguments: shares) func everySequenceGoesRoundByItself(share: Double) throws {
    let order = try order(share)
    var counts: [[Int]: Int] = [:]
    var sequence: [[Int]] = []
    for position in 0..<4000 {
      let draw = order.draw(at: position)
      let key = [draw.sample, draw.isSelfBlended ? 1 : 0]
      #expect(draw.visit == counts[key, default: 0])
      counts[key, default: 0] += 1
      if draw.isSelfBlended { sequence.append(key) }
    }
    for isMade in [0, 1] {
      for label: UInt8 in [0, 1] {
        let found = counts.filter { $0.key[1] == isMade && labels[$0.key[0]] == label }.map(\.value)
        #expect((found.max() ?? 0) - (found.min() ?? 0) <= 1)
      }
    }
    // In an order of its own.
    let real = (0..<15).map { order.draw(at: 2 * $0).sample }
    #expect(sequence.prefix(15).map { $0[0] }.sorted() == real.sorted())
    #expect(sequence.prefix(15).map { $0[0] } != real)
  }

  /// The real ones, and the fakes that are left, come in the order in which they come without.
  @Test func theOthersKeepTheirOrder() throws {
    let (plain, half) = (try order(0), try order(0.5))
    let fakes = (0..<400).map { half.draw(at: 2 * $0 + 1) }.filter { !$0.isSelfBlended }
    #expect(fakes == fakes.indices.map { plain.draw(at: 2 * $0 + 1) })
    #expect((0..<400).allSatisfy { half.draw(at: 2 * $0) == plain.draw(at: 2 * $0) })
  }

  @Test(arguments: shares, [60, 43, 50, 97])
  func aFirstDrawSinceAPositionIsOneThatNoOtherCameBefore(share: Double, epochLength: Int) throws {
    let order = try order(share)
    for start in stride(from: 0, to: 6 * epochLength, by: epochLength) {
      var seen: Set<[Int]> = []
      for position in start..<start + epochLength {
        let draw = order.draw(at: position)
        let isNew = seen.insert([draw.sample, draw.isSelfBlended ? 1 : 0]).inserted
        #expect(order.isFirstDraw(at: position, since: start) == isNew, "\(start), \(position)")
      }
    }
  }

  @Test func anEpochIsThatOfTheLargerClassThatIsDrawnFrom() throws {
    #expect(try order(0.5).epochLength == 56)
    #expect(try order(1).epochLength == 30)
    #expect(try order(1, labels: [0, 0, 0]).epochLength == 6)
  }

  @Test func fakesAreNeededUnlessAllAreMade() throws {
    let real: [UInt8] = [0, 0, 0]
    let whole = try order(1, labels: real)
    #expect((0..<30).allSatisfy { whole.draw(at: $0).isSelfBlended == ($0 % 2 == 1) })
    // Those that are there are never drawn.
    let ignoring = try order(1)
    #expect((0..<500).allSatisfy { labels[ignoring.draw(at: $0).sample] == 0 })
    let message = ShardFixtures.message { _ = try order(0.5, labels: real) }
    #expect(message?.contains("none of the 3 is fake") == true)
    #expect(message?.contains("data.self_blended: 1") == true)
    for share in [0.5, 1] {
      let message = ShardFixtures.message { _ = try order(share, labels: [1, 1]) }
      #expect(message?.contains("none of the 2 is real") == true)
    }
  }
}
