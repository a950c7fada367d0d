import Checkpoints
import Evaluation
import FaceShards
import Networks
import Tensors

/// The scores of some images of a set.
struct SampleScores {
  /// Numbers of the images in the set, ascending.
  let samples: [Int]
  /// Real and fake logit of each.
  let logits: [Float]
  /// Probability of fake of each, calibrated if the detector is.
  let probabilities: [Double]
  private let calibration: Calibration?

  init(_ samples: [Int], logits: [Float], calibration: Calibration?) {
    self.calibration = calibration
    precondition(logits.count == 2 * samples.count, "two logits an image were expected")
    self.samples = samples
    self.logits = logits
    probabilities = samples.indices.map {
      CrossEntropy.probabilityOfFake(
        real: logits[2 * $0], fake: logits[2 * $0 + 1],
        temperature: calibration?.temperature ?? 1)
    }
  }

  /// Metrics, mean cross-entropy and ROC curves.
  ///
  /// - Parameters:
  ///   - patterns: of the shards.
  ///   - workers: draw sources for intervals.
  /// - Throws: `MetricsError` if a score is not finite, what reading sources throws.
  func evaluation(
    _ set: ShardSet, patterns: [String], workers: WorkerPool
  ) throws -> DetectorEvaluation {
    let labels = samples.map { set.labels[$0] }
    let methods = samples.map { Int(set.methods[$0]) }
    let sources = try set.readSources()
    let images = ScoredSamples(
      scores: probabilities, labels: labels, methods: methods, methodNames: set.methodNames,
      sources: samples.map { sources[$0] })
    // Images of unknown sources may be frames of one video: intervals would be too narrow.
    let bootstrap = images.withoutSource == 0 ? SourceBootstrap() : nil
    let metrics = try EvaluationMetrics(
      images, bootstrap: bootstrap.map { .init($0, workers: workers) })
    var sum = 0.0
    for index in samples.indices {
      sum += CrossEntropy.loss(
        real: Double(logits[2 * index]), fake: Double(logits[2 * index + 1]), label: labels[index])
    }
    let real = samples.indices.filter { labels[$0] == 0 }
    func curve(_ fakes: [Int]) throws -> ROCCurve {
      let places = fakes + real
      return ROCCurve(
        try RankedScores(
          scores: places.map { probabilities[$0] }, labels: places.map { labels[$0] }))
    }
    let fakes = samples.indices.filter { labels[$0] != 0 }
    let curves = try set.methodNames.indices.dropFirst().compactMap { method in
      let mine = fakes.filter { methods[$0] == method }
      return mine.isEmpty ? nil : (name: set.methodNames[method], curve: try curve(mine))
    }
    var evaluation = DetectorEvaluation(
      data: patterns.joined(separator: ", "), images: set.count, scored: samples.count,
      metrics: metrics,
      loss: sum / Double(max(1, samples.count)), curve: try curve(fakes), methodCurves: curves)
    evaluation.scores = (shares(real), shares(fakes))
    evaluation.sources = Set(images.sources).count
    evaluation.bootstrap = bootstrap
    evaluation.reliability = Reliability(
      probabilities: probabilities, labels: labels, temperature: calibration?.temperature)
    evaluation.isCalibrationData = calibration.map { $0.data == patterns } ?? false
    return evaluation
  }

  /// Of the images at these places the share in each of 20 equal parts of 0…1.
  private func shares(_ places: [Int]) -> [Double] {
    guard !places.isEmpty else { return [] }
    var shares = [Double](repeating: 0, count: 20)
    for place in places {
      shares[min(Int(probabilities[place] * 20), 19)] += 1 / Double(places.count)
    }
    return shares
  }
}
