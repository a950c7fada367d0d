import Testing

@testable import ForgeryMining

private struct AttributionGolden: Decodable {
  struct Kind: Decodable {
    var similarities: [Double]
    var matrix: [Double]
    var confusion: [[Int]]
    var accuracy: Double
  }
  struct Rejection: Decodable {
    var known: [Double]
    var unknown: [Double]
    var area: Double
    var balanced: Double
    var accepting90: Double
  }
  var height: Int
  var width: Int
  var methods: Int
  var truth: [Int]
  var maps: [Float]
  var prototypes: [Float]
  var counts: [Int64]
  var plain: Kind
  var centred: Kind
  var auroc: [Rejection]

  func map(_ image: Int) -> [Float] {
    Array(maps[image * height * width..<(image + 1) * height * width])
  }
  var names: [String] { (0..<methods).map { "method \($0)" } }
}

@Suite struct AttributionTests {
  // MARK: Against PyTorch and scikit-learn

  @Test func prototypesAndAttributionFollowTheOracle() throws {
    let expected = try golden("attribution", as: AttributionGolden.self)
    var accumulator = PrototypeAccumulator(
      methods: expected.names, height: expected.height, width: expected.width)
    for image in 0..<20 {
      accumulator.add(expected.map(image), method: expected.truth[image])
    }
    let prototypes = accumulator.prototypes()
    #expect(prototypes.methods == expected.names)
    #expect(prototypes.counts == expected.counts)
    #expect(largestDifference(prototypes.maps, expected.prototypes) < 1e-7)

    let attribution = Attribution(prototypes)
    for kind in AttributionKind.allCases {
      let golden = kind == .plain ? expected.plain : expected.centred
      var confusion = ConfusionMatrix(methods: prototypes.methods)
      for image in 20..<40 {
        let similarities = attribution.similarities(expected.map(image))
        for method in 0..<expected.methods {
          let value = golden.similarities[(image - 20) * expected.methods + method]
          #expect((similarities[kind][method] - value).magnitude < 1e-6)
        }
        let likeliest = try #require(similarities.likeliestMethod(kind))
        confusion.add(truth: expected.truth[image], prediction: likeliest)
      }
      #expect(confusion.counts == golden.confusion)
      #expect(confusion.accuracy == golden.accuracy)
      let matrix = prototypes.similarityMatrix(kind).joined()
      for (value, reference) in zip(matrix, golden.matrix) {
        #expect((value - reference).magnitude < 1e-6)
      }
    }
  }

  @Test func areaUnderROCAndThresholdsFollowScikitLearn() throws {
    for expected in try golden("attribution", as: AttributionGolden.self).auroc {
      let area = try #require(
        areaUnderROC(positives: expected.known, negatives: expected.unknown))
      #expect((area - expected.area).magnitude < 1e-12)
      let balanced = try #require(
        RejectionThreshold.balanced(known: expected.known, unknown: expected.unknown))
      #expect(balanced.value == expected.balanced)
      #expect(balanced.areaUnderROC == area)
      let accepting = try #require(RejectionThreshold.accepting(0.9, known: expected.known))
      #expect(accepting.value == expected.accepting90)
      #expect(accepting.acceptedKnown >= 0.9)
    }
  }

  // MARK: Laws

  @Test func thePrototypeOfIdenticalMapsIsTheMap() {
    var random = TestRandom(1)
    let map = random.floats(30, in: 0...1)
    var accumulator = PrototypeAccumulator(methods: ["a", "b"], height: 6, width: 5)
    for _ in 0..<7 { accumulator.add(map, method: 1) }
    let prototypes = accumulator.prototypes()
    #expect(prototypes.maps == map)
    #expect(prototypes.methods == ["b"], "a method without images has no prototype")
    #expect(prototypes.counts == [7])
  }

  @Test func partsOfTheDataAddUp() {
    var random = TestRandom(2)
    var whole = PrototypeAccumulator(methods: ["a", "b", "c"], height: 4, width: 4)
    var parts = [whole, whole]
    for image in 0..<20 {
      let map = random.floats(16, in: 0...1)
      whole.add(map, method: image % 3)
      parts[image % 2].add(map, method: image % 3)
    }
    parts[0].merge(parts[1])
    #expect(parts[0].counts == whole.counts)
    #expect(largestDifference(parts[0].prototypes().maps, whole.prototypes().maps) < 1e-6)
  }

  @Test func cosineIgnoresScaleAndCentredCosineIgnoresWhatPrototypesShare() {
    var random = TestRandom(3)
    let maps = random.floats(3 * 24, in: 0...1)
    let image = random.floats(24, in: 0...1)
    let shared = random.floats(24, in: 0...4)
    func similarities(of image: [Float], with maps: [Float]) -> Similarities {
      Attribution(
        Prototypes(
          methods: ["a", "b", "c"], height: 4, width: 6, maps: maps, counts: [1, 1, 1])
      ).similarities(image)
    }
    let reference = similarities(of: image, with: maps)
    let scaled = similarities(of: image.map { $0 * 5 }, with: maps.map { $0 * 0.25 })
    let offset = similarities(
      of: image.indices.map { image[$0] + shared[$0] },
      with: maps.indices.map { maps[$0] + shared[$0 % 24] })
    for method in 0..<3 {
      #expect((reference.plain[method] - scaled.plain[method]).magnitude < 1e-6)
      #expect((reference.centred[method] - offset.centred[method]).magnitude < 1e-5)
      #expect(abs(reference.plain[method]) <= 1 && abs(reference.centred[method]) <= 1)
    }
  }

  @Test func aPrototypeIsMostSimilarToItself() {
    var random = TestRandom(4)
    let maps = random.floats(4 * 20, in: 0...1)
    let prototypes = Prototypes(
      methods: ["a", "b", "c", "d"], height: 4, width: 5, maps: maps, counts: [1, 2, 3, 4])
    let attribution = Attribution(prototypes)
    for method in 0..<4 {
      let similarities = attribution.similarities(Array(prototypes.map(method)))
      for kind in AttributionKind.allCases {
        #expect(similarities.likeliestMethod(kind) == method)
        #expect((similarities.largest(kind) - 1).magnitude < 1e-6)
      }
    }
    for kind in AttributionKind.allCases {
      let matrix = prototypes.similarityMatrix(kind)
      for row in 0..<4 {
        #expect((matrix[row][row] - 1).magnitude < 1e-6)
        for column in 0..<4 {
          #expect((matrix[row][column] - matrix[column][row]).magnitude < 1e-6)
        }
      }
    }
    // Centred prototypes add up to zero, so they can't all point the same way.
    #expect(prototypes.similarityMatrix(.centred).joined().contains { $0 < 0 })
  }

  @Test func zeroMapsAreSimilarToNothingAndNoPrototypesNameNothing() {
    let attribution = Attribution(
      Prototypes(methods: ["a", "b"], height: 1, width: 2, maps: [0, 0, 1, 0], counts: [1, 1]))
    #expect(attribution.similarities([0, 0]).plain == [0, 0])
    #expect(attribution.similarities([1, 0]).plain == [0, 1])
    let none = Attribution(
      Prototypes(methods: [], height: 1, width: 2, maps: [], counts: [])
    ).similarities([1, 0])
    #expect(none.likeliestMethod(.plain) == nil && none.largest(.plain) == -1)
  }

  @Test func ofEqualSimilaritiesTheFirstMethodIsNamed() {
    let equal = Similarities(plain: [0.5, 0.5, 0.2], centred: [0, 0.1, 0.1])
    #expect(equal.likeliestMethod(.plain) == 0)
    #expect(equal.likeliestMethod(.centred) == 1)
  }

  @Test func theMoreAccurateKindIsTheDefaultAndPlainIfEqual() {
    #expect(AttributionKind.moreAccurate(plain: 0.6, centred: 0.8) == .centred)
    #expect(AttributionKind.moreAccurate(plain: 0.8, centred: 0.6) == .plain)
    #expect(AttributionKind.moreAccurate(plain: 0.7, centred: 0.7) == .plain)
    #expect(AttributionKind.moreAccurate(plain: nil, centred: nil) == .plain)
  }

  @Test func confusionMatricesCountAndMerge() {
    var matrix = ConfusionMatrix(methods: ["a", "b", "c"])
    #expect(matrix.accuracy == nil && matrix.balancedAccuracy == nil)
    for _ in 0..<3 { matrix.add(truth: 0, prediction: 0) }
    matrix.add(truth: 1, prediction: 0)
    #expect(matrix.counts == [[3, 0, 0], [1, 0, 0], [0, 0, 0]])
    #expect(matrix.accuracy == 0.75)
    #expect(matrix.recalls == [1, 0, nil])
    #expect(matrix.balancedAccuracy == 0.5)
    let copy = matrix
    matrix.merge(copy)
    #expect(matrix.total == 8 && matrix.counts[1][0] == 2)
  }

  @Test func removingAMethodLeavesTheOthers() {
    let prototypes = Prototypes(
      methods: ["a", "b", "c"], height: 1, width: 2, maps: [1, 2, 3, 4, 5, 6], counts: [7, 8, 9])
    let rest = prototypes.removing(1)
    #expect(
      rest
        == Prototypes(
          methods: ["a", "c"], height: 1, width: 2, maps: [1, 2, 5, 6], counts: [7, 9]))
  }

  // MARK: Rejection on hand-made scores

  @Test func separableScoresAreSeparated() throws {
    let threshold = try #require(
      RejectionThreshold.balanced(known: [0.9, 0.7, 0.8], unknown: [0.1, 0.3]))
    #expect(threshold.value == 0.7)
    #expect(threshold.acceptedKnown == 1 && threshold.rejectedUnknown == 1)
    #expect(threshold.areaUnderROC == 1)
    #expect(threshold.accepts(0.7) && !threshold.accepts(0.69))
  }

  @Test func tiesCountHalf() {
    #expect(areaUnderROC(positives: [1, 1], negatives: [1]) == 0.5)
    #expect(areaUnderROC(positives: [2, 1], negatives: [1, 0]) == 0.875)
    #expect(areaUnderROC(positives: [0], negatives: [1]) == 0)
  }

  @Test func withoutKnownOrUnknownImagesThereIsNoThreshold() {
    #expect(RejectionThreshold.accepting(0.95, known: []) == nil)
    #expect(RejectionThreshold.accepting(0.95, known: [0.5, .nan]) == nil)
    #expect(RejectionThreshold.balanced(known: [0.5], unknown: []) == nil)
    #expect(RejectionThreshold.balanced(known: [], unknown: [0.5]) == nil)
    #expect(areaUnderROC(positives: [], negatives: [1]) == nil)
    #expect(areaUnderROC(positives: [.nan], negatives: [1]) == nil)
  }

  @Test func acceptingAFractionOfKnownImages() throws {
    let known = (1...20).map { Double($0) }
    let most = try #require(RejectionThreshold.accepting(0.95, known: known))
    #expect(most.value == 2 && most.acceptedKnown == 0.95)
    #expect(most.rejectedUnknown == nil && most.areaUnderROC == nil)
    #expect(try #require(RejectionThreshold.accepting(1, known: known)).value == 1)
    #expect(try #require(RejectionThreshold.accepting(0, known: known)).value == 20)
  }
}
