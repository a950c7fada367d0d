import Foundation
import Testing

@testable import ForgeryMining

@Suite struct AttributionTrialTests {
  /// Three methods, each with a pixel of its own beside what all share.
  private let prototypes = Prototypes(
    methods: ["a", "b", "c"], height: 2, width: 2,
    maps: [1, 0.9, 0, 0, 1, 0, 0.9, 0, 1, 0, 0, 0.9], counts: [5, 5, 5])

  private func map(_ method: Int, strength: Float = 0.8) -> [Float] {
    var map: [Float] = [1, 0.1, 0.1, 0.1]
    map[method + 1] = strength
    return map
  }

  @Test func imagesAreCountedUnderTheirOwnMethodAndTheOneThatIsNamed() {
    var trial = AttributionTrial(prototypes)
    trial.add(map(0), method: "a")
    trial.add(map(1), method: "b")
    trial.add(map(2), method: "b")  // looks like c
    trial.add(map(2), method: "never seen")
    let evaluation = AttributionEvaluation(trial)
    #expect(evaluation.known == 3 && evaluation.unknown == 1)
    for kind in AttributionKind.allCases {
      #expect(evaluation[kind].confusion.counts == [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
      #expect(evaluation[kind].confusion.accuracy == 2.0 / 3)
      #expect(evaluation[kind].rejection == nil && evaluation[kind].openSetAccuracy == nil)
    }
    #expect(evaluation.preferred == .plain)
    #expect(AttributionEvaluation(trial, preferred: .centred).preferred == .centred)
  }

  @Test func rowsHoldTheSimilaritiesThatAttributionGives() {
    var trial = AttributionTrial(prototypes)
    let similarities = trial.add(map(1), method: "b")
    #expect(similarities == Attribution(prototypes).similarities(map(1)))
    #expect(trial.similarities(0) == similarities && trial.method(0) == 1)
    let others = Attribution(prototypes.removing(1)).similarities(map(1))
    #expect(trial.rows.count == trial.columns)
    for kind in AttributionKind.allCases {
      #expect(trial.largestWithOthers(0, kind) == others.largest(kind))
      #expect(trial.largestWithOthers(0, kind) < similarities.largest(kind))
    }
  }

  @Test func partsOfSeveralRanksJudgeLikeTheWhole() {
    var whole = AttributionTrial(prototypes)
    var parts = [whole, whole]
    var random = TestRandom(3)
    for image in 0..<30 {
      let map = random.floats(4, in: 0...1)
      let name = ["a", "b", "c", "d"][image % 4]
      whole.add(map, method: name)
      parts[image % 2].add(map, method: name)
    }
    parts[0].merge(parts[1])
    #expect(parts[0].images == 30)
    #expect(AttributionEvaluation(parts[0]) == AttributionEvaluation(whole))
    for kind in AttributionKind.allCases {
      #expect(parts[0].rejectionThreshold(kind) == whole.rejectionThreshold(kind))
    }
  }

  @Test func leavingEachMethodOutServesForUnknownImages() throws {
    var trial = AttributionTrial(prototypes)
    for method in 0..<3 {
      for strength in [Float(0.7), 0.8, 0.9] {
        trial.add(map(method, strength: strength), method: ["a", "b", "c"][method])
      }
    }
    for kind in AttributionKind.allCases {
      let threshold = try #require(trial.rejectionThreshold(kind))
      #expect(threshold.acceptedKnown == 1 && threshold.rejectedUnknown == 1)
      #expect(threshold.areaUnderROC == 1)
      let evaluation = AttributionEvaluation(
        trial, plainThreshold: threshold.value, centredThreshold: threshold.value)
      #expect(evaluation[kind].knownAgainstLeftOut == 1 && evaluation[kind].rejectedLeftOut == 1)
      #expect(evaluation[kind].knownAgainstUnknown == nil)
    }
    // Images of a real unknown method go first.
    trial.add([0.1, 1, 1, 1], method: "never seen")
    let threshold = try #require(trial.rejectionThreshold(.plain))
    #expect(threshold.rejectedUnknown == 1)
    let evaluation = AttributionEvaluation(trial, plainThreshold: threshold.value)
    #expect(evaluation.plain.rejection == threshold)
    #expect(evaluation.plain.openSetAccuracy == 1)
    #expect(evaluation.plain.knownAgainstUnknown == 1)
    #expect(evaluation.centred.openSetAccuracy == nil)
  }

  @Test func withTwoPrototypesTheThresholdKeepsTheKnownImages() throws {
    var trial = AttributionTrial(prototypes.removing(2))
    #expect(trial.rejectionThreshold(.plain) == nil)
    for strength in 0..<20 { trial.add(map(0, strength: 0.5 + Float(strength) / 40), method: "a") }
    let threshold = try #require(trial.rejectionThreshold(.plain))
    #expect(threshold.acceptedKnown == 0.95 && threshold.rejectedUnknown == nil)
  }

  @Test func aThresholdThatRejectsEverythingIsRightAboutUnknownImagesOnly() {
    var trial = AttributionTrial(prototypes)
    trial.add(map(0), method: "a")
    trial.add(map(1), method: "never seen")
    trial.add(map(2), method: "never seen either")
    let evaluation = AttributionEvaluation(trial, plainThreshold: 2, centredThreshold: -2)
    #expect(evaluation.plain.openSetAccuracy == 2.0 / 3)
    #expect(evaluation.plain.rejection?.acceptedKnown == 0)
    #expect(evaluation.centred.openSetAccuracy == 1.0 / 3)
    #expect(evaluation.centred.rejection?.rejectedUnknown == 0)
  }

  @Test func jsonHasEveryFigureAndNullWhereThereIsNone() throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let trial = AttributionTrial(prototypes.removing(2))
    let text = String(decoding: try encoder.encode(AttributionEvaluation(trial)), as: UTF8.self)
    let kind =
      #"{"accepted_known":null,"accuracy":null,"auroc_known_unknown":null,"#
      + #""auroc_left_out":null,"balanced_accuracy":null,"confusion":[[0,0],[0,0]],"methods":["a","b"],"#
      + #""open_set_accuracy":null,"recall":[null,null],"rejected_left_out":null,"#
      + #""rejected_unknown":null,"threshold":null}"#
    #expect(
      text == #"{"centred":"# + kind + #","images":0,"plain":"# + kind
        + #","preferred":"plain","unknown_images":0}"#)
  }
}
