import Testing

@testable import Training

@Suite struct BestCheckpointTests {
  @Test func theFirstOfTheLargestAUCIsTheBest() {
    var best = BestCheckpoint()
    let found: [Double?] = [0.6, 0.5, nil, 0.7, 0.7, 0.65]
    let isBest = found.indices.map {
      best.takes(step: $0, auc: found[$0], isValidated: true)
    }
    #expect(isBest == [true, false, false, true, false, false])
    #expect(best == BestCheckpoint(auc: 0.7, step: 3))
  }

  @Test func theNewestIsTheBestWhereNothingTellsThemApart() {
    var best = BestCheckpoint()
    #expect((1...3).allSatisfy { best.takes(step: $0, auc: nil, isValidated: true) })
    #expect(best == BestCheckpoint(auc: nil, step: 3))
    best.auc = 0.9
    #expect(best.takes(step: 4, auc: nil, isValidated: false) && best.step == 4)
  }
}
