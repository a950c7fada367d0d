import Evaluation
import FaceShards
import Networks

/// The scores of some images of a set.
struct SampleScores {
  /// Numbers of the images in the set, ascending.
  let samples: [Int]
  /// Real and fake logit of each.
  let logits: [Float]
  /// Probability of fake of each.
  let probabilities: [Double]

  init(_ samples: [Int], logits: [Float]) {
    precondition(logits.count == 2 * samples.count, "two logits an image were expected")
    self.samples = samples
    self.logits = logits
    probabilities = samples.indices.map {
      CrossEntropy.probabilityOfFake(real: logits[2 * $0], fake: logits[2 * $0 + 1])
    }
  }

  /// Metrics, mean cross-entropy and ROC curves.
  ///
  /// - Parameter data: the patterns of the shards, for the page.
  /// - Throws: `MetricsError` if a score is not finite, what reading sources throws.
  func evaluation(_ set: ShardSet, data: String) throws -> DetectorEvaluation {
    let labels = samples.map { set.labels[$0] }
    let methods = samples.map { Int(set.methods[$0]) }
    let sources = try set.readSources()
    let metrics = try EvaluationMetrics(
      scores: probabilities, labels: labels, methods: methods, methodNames: set.methodNames,
      sources: samples.map { sources[$0] })
    var sum = 0.0
    for index in samples.indices {
      sum += CrossEntropy.loss(
        real: Double(logits[2 * index]), fake: Double(logits[2 * index + 1]), label: labels[index])
    }
    let real = samples.indices.filter { labels[$0] == 0 }
    func curve(_ fakes: [Int]) throws -> ROCCurve {
      let images = fakes + real
      return ROCCurve(
        try RankedScores(
          scores: images.map { probabilities[$0] }, labels: images.map { labels[$0] }))
    }
    let fakes = samples.indices.filter { labels[$0] != 0 }
    let curves = try set.methodNames.indices.dropFirst().compactMap { method in
      let mine = fakes.filter { methods[$0] == method }
      return mine.isEmpty ? nil : (name: set.methodNames[method], curve: try curve(mine))
    }
    var evaluation = DetectorEvaluation(
      data: data, images: set.count, scored: samples.count, metrics: metrics,
      loss: sum / Double(max(1, samples.count)), curve: try curve(fakes), methodCurves: curves)
    evaluation.scores = (shares(real), shares(fakes))
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
