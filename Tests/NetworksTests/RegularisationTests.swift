import Foundation
import Testing

@testable import Networks
@testable import Tensors

/// Dropout, stochastic depth and label smoothing.
@Suite(.serialized) struct RegularisationTests {
  /// Keys that live as long as the test needs them.
  private final class Keys {
    let visits: [Int]
    let identifiers: [Int]
    let seed: UInt64

    init(seed: UInt64 = 7, visits: [Int], identifiers: [Int]) {
      (self.seed, self.visits, self.identifiers) = (seed, visits, identifiers)
    }

    func with<Result>(_ body: (SampleKeys) throws -> Result) rethrows -> Result {
      try visits.withUnsafeBufferPointer { visits in
        try identifiers.withUnsafeBufferPointer { identifiers in
          try body(SampleKeys(seed: seed, visits: visits, identifiers: identifiers))
        }
      }
    }
  }

  private static func step(
    _ program: TrainingProgram, _ images: [Float], _ labels: [UInt8], _ keys: Keys
  ) throws -> TrainingResult {
    program.refresh()
    let loss = try keys.with { keys in
      try images.withUnsafeBufferPointer { images in
        try labels.withUnsafeBufferPointer { labels in
          let loss = try program.forward(
            images: images.baseAddress!, labels: labels.baseAddress!, keys: keys)
          try program.backward()
          return loss
        }
      }
    }
    try program.finishGradients()
    return TrainingResult(
      loss: loss, logits: Array(program.logits), gradients: Array(program.detector.gradients),
      running: Array(program.detector.runningStatistics))
  }

  // MARK: PyTorch

  /// What Tests/Oracle/regularisation.py wrote.
  private struct Index: Decodable {
    let crop: Int
    let images: [Int]
    let seed: UInt64
    let identifiers: [Int]
    let visits: [Int]
    let dropout: Double
    let dropPath: Double
    let labelSmoothing: Double
    let rates: [Double]
    let loss: Double
    let float32Loss: Double
  }

  /// Loss, logits and every weight's gradient of a step with the very masks, in PyTorch in float64; and
  /// the rates of the branches are timm's.
  @Test(arguments: [DetectorName.resnet18, .efficientnetB0, .xceptionTiny])
  func aStepIsPyTorchsWithTheSameMasks(name: DetectorName) throws {
    let file = "Regularisation/\(name.rawValue)"
    let golden = try JSONDecoder().decode(Index.self, from: Golden.data("\(file).json"))
    var values = try Golden.floats("\(file).f32")[...]
    let rates = name.graph.branches.map { $0 * golden.dropPath }
    #expect(rates.count == golden.rates.count)
    #expect(zip(rates, golden.rates).allSatisfy { abs($0 - $1) < 1e-7 })

    let detector = try Fixture.detector(name.rawValue)
    let program = TrainingProgram(
      detector, crop: golden.crop, batch: golden.images.count, workers: WorkerPool(threads: 2),
      regularisation: Regularisation(
        dropout: golden.dropout, dropPath: golden.dropPath, labelSmoothing: golden.labelSmoothing))
    let (images, labels) = Fixture.batch(golden.images, crop: golden.crop)
    let result = try Self.step(
      program, images, labels,
      Keys(seed: golden.seed, visits: golden.visits, identifiers: golden.identifiers))
    #expect(
      abs(result.loss - golden.loss)
        < max(1e-5 * golden.loss, 3 * abs(golden.float32Loss - golden.loss)))
    let logits = values.prefix(2 * labels.count)
    #expect(relativeDistance(result.logits, logits) < 1e-4)
    values = values.dropFirst(logits.count)
    let gradients = detector.tensors(of: detector.gradients.baseAddress!)
    for gradient in gradients.sorted(by: { $0.name < $1.name }) {
      let sketch = NetworkGolden.Sketch(values.prefix(NetworkGolden.Sketch.count))
      values = values.dropFirst(NetworkGolden.Sketch.count)
      let error = sketch.relativeError(of: gradient.values)
      #expect(
        error < max(1e-3, 3 * sketch.float32Error),
        "\(gradient.name) \(error), PyTorch's own \(sketch.float32Error)")
    }
    #expect(values.isEmpty)
  }

  // MARK: Draws

  @Test func whatIsLeftOutHasTheRateThatWasAskedFor() throws {
    let batch = 2000
    let masks = try #require(
      DropMasks(
        Regularisation(dropout: 0.3, dropPath: 0.4), features: 50, branches: [0, 0.5, 1],
        widest: 16, batch: batch))
    Keys(visits: Array(repeating: 3, count: batch), identifiers: Array(0..<batch)).with {
      masks.draw($0)
    }
    // A binomial count is within five deviations of its mean.
    func isNear(_ count: Int, rate: Double, of all: Int) -> Bool {
      abs(Double(count) - rate * Double(all)) <= 5 * (rate * (1 - rate) * Double(all)).squareRoot()
    }
    for (branch, rate) in [0, 0.2, 0.4].enumerated() {
      let factors = (0..<batch).map { masks.factor(branch: branch, image: $0)[15] }
      #expect(isNear(factors.count { $0 == 0 }, rate: rate, of: batch), "branch \(branch)")
      #expect(factors.allSatisfy { $0 == 0 || $0 == Float(1 / (1 - rate)) })
    }
    var dropped = [Int](repeating: 0, count: 50)
    for image in 0..<batch {
      var x = [Float](repeating: 2, count: 64)
      masks.dropOut(&x, image: image)
      #expect(x[50...].allSatisfy { $0 == 2 })
      for c in 0..<50 {
        #expect(x[c] == 0 || x[c] == 2 * Float(1 / 0.7))
        if x[c] == 0 { dropped[c] += 1 }
      }
    }
    #expect(dropped.allSatisfy { isNear($0, rate: 0.3, of: batch) })
    #expect(isNear(dropped.reduce(0, +), rate: 0.3, of: 50 * batch))
  }

  /// Draws follow the sample and its visit, not its place, and two purposes draw apart.
  @Test func drawsBelongToTheSample() throws {
    func factors(_ keys: Keys) throws -> [[Float]] {
      let masks = try #require(
        DropMasks(
          Regularisation(dropout: 0.5, dropPath: 0.5), features: 40, branches: [1, 1, 1, 1, 1, 1],
          widest: 16, batch: keys.visits.count))
      keys.with { masks.draw($0) }
      return keys.visits.indices.map { image in
        var x = [Float](repeating: 1, count: 48)
        masks.dropOut(&x, image: image)
        return x + (0..<6).map { masks.factor(branch: $0, image: image)[0] }
      }
    }
    let first = try factors(Keys(visits: [0, 0, 1, 5], identifiers: [4, 9, 4, 9]))
    let turned = try factors(Keys(visits: [5, 1, 0, 0], identifiers: [9, 4, 9, 4]))
    #expect(turned == Array(first.reversed()))
    #expect(Set(first).count == 4)
    let other = try factors(Keys(seed: 8, visits: [0, 0, 1, 5], identifiers: [4, 9, 4, 9]))
    #expect(zip(first, other).allSatisfy { $0 != $1 })
  }

  /// Loss and gradients of a batch don't depend on the order of its images or on the threads, since
  /// each brings its own draws.
  @Test(arguments: [DetectorName.resnet18, .convnextTiny, .xceptionTiny])
  func theOrderOfABatchLeavesNoTrace(name: DetectorName) throws {
    var results: [TrainingResult] = []
    for (threads, order) in [(1, [2, 5, 7, 12]), (2, [2, 5, 7, 12]), (2, [12, 2, 7, 5])] {
      let program = TrainingProgram(
        try Fixture.detector(name.rawValue), crop: 64, batch: 4,
        workers: WorkerPool(threads: threads), reduction: StatisticsReduction(ranks: 1) { _ in },
        regularisation: Regularisation(
          dropout: 0.3, dropPath: name == .xceptionTiny ? 0 : 0.4, labelSmoothing: 0.2))
      let (images, labels) = Fixture.batch(order, crop: 64)
      results.append(
        try Self.step(
          program, images, labels, Keys(visits: [1, 1, 1, 1], identifiers: order)))
    }
    #expect(results[0] == results[1])
    #expect(abs(results[2].loss - results[0].loss) < 1e-6 * results[0].loss)
    #expect(relativeDistance(results[2].gradients, results[0].gradients) < 1e-4)
  }

  /// bfloat16 is float32 but for its rounding: the same is left out.
  @Test func bothPrecisionsLeaveOutTheSame() throws {
    var gradients: [[Float]] = []
    for precision in [Precision.float32, .bfloat16] {
      let program = TrainingProgram(
        try Fixture.detector("efficientnet-b0"), crop: 64, batch: 4, precision: precision,
        workers: WorkerPool(threads: 2),
        regularisation: Regularisation(dropout: 0.3, dropPath: 0.9))
      let (images, labels) = Fixture.batch([2, 5, 7, 12], crop: 64)
      gradients.append(
        try Self.step(
          program, images, labels, Keys(visits: [0, 0, 0, 0], identifiers: [2, 5, 7, 12])
        ).gradients)
    }
    #expect(cosine(gradients[0], gradients[1]) > 0.9)
  }

  // MARK: Label smoothing

  @Test(arguments: [0, 0.1, 0.5, 1.0]) func smoothedLossIsThatOfTheSmoothedTarget(
    smoothing: Double
  ) {
    for (real, fake) in [(0.3, -1.2), (2.0, 2.0), (-40.0, 30.0), (700.0, -100.0)] {
      for label: UInt8 in [0, 1] {
        let target = label == 0 ? smoothing / 2 : 1 - smoothing / 2
        let margin = fake - real
        // −log softmax of each class.
        let log = [margin, -margin].map { $0 > 0 ? $0 + log1p(exp(-$0)) : log1p(exp($0)) }
        let expected = (1 - target) * log[0] + target * log[1]
        let loss = CrossEntropy.loss(real: real, fake: fake, label: label, smoothing: smoothing)
        #expect(abs(loss - expected) <= 1e-12 * max(1, expected))
        let gradient = CrossEntropy.fakeGradient(
          real: real, fake: fake, label: label, smoothing: smoothing)
        #expect(abs(gradient - (1 / (1 + exp(-margin)) - target)) < 1e-12)
      }
    }
    // Without it, what was before, to the last bit.
    #expect(
      CrossEntropy.loss(real: 0.1, fake: 0.7, label: 1, smoothing: 0)
        == CrossEntropy.loss(real: 0.1, fake: 0.7, label: 1))
  }
}
