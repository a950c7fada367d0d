import Foundation

@testable import Networks
@testable import Tensors

/// Detectors with the oracle's weights.
enum Fixture {
  private static let xception = Result { try oracleTensors("xception") }
  private static let xceptionTiny = Result { try oracleTensors("xception-tiny") }

  private static func oracleTensors(_ name: String) throws -> [NamedTensor] {
    let model = try OracleModel(name)
    let weights = model.weights()
    return model.shapes.sorted { $0.key < $1.key }.map {
      NamedTensor(name: $0.key, shape: $0.value, values: weights[$0.key]!)
    }
  }

  /// The oracle's weights under their published names.
  static func tensors(_ name: DetectorName) throws -> [NamedTensor] {
    switch name {
    case .xception: try xception.get()
    case .xceptionTiny: try xceptionTiny.get()
    default: drawnWeights(name)
    }
  }

  static func detector(_ model: String) throws -> Detector {
    guard let name = DetectorName(rawValue: model) else {
      preconditionFailure("no detector is called \(model)")
    }
    let detector = Detector(name)
    _ = try detector.load(tensors(name), from: "oracle", seed: 0)
    return detector
  }

  /// The tiny detector with biases that keep what ReLUs see away from zero, as the oracle's
  /// "separated" recipe does, and running statistics of batches like `images`.
  ///
  /// With |β| ≥ 2.5 and γ ≤ 1 a normalised value of unit variance is almost never near the kink, so
  /// that finite differences see a smooth function: half the channels pass, half are shut.
  static func separatedTiny(crop: Int, images: [Float], labels: [UInt8], workers: WorkerPool) throws
    -> Detector
  {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 3)
    var draws = Draws(51)
    let tensors = detector.weights().map { tensor -> NamedTensor in
      var tensor = tensor
      let isNorm = tensor.shape.count == 1 && !tensor.name.hasPrefix("fc.")
      guard isNorm, !tensor.name.contains("running") else { return tensor }
      let us = draws.rough(tensor.values.count, limit: 1)
      if closesBlock(tensor.name, detector) {
        tensor.values = us.map {
          tensor.name.hasSuffix(".weight") ? 0.25 * (0.75 + 0.25 * $0) : 0.2 * $0
        }
      } else if tensor.name.hasSuffix(".weight") {
        tensor.values = us.map { 0.75 + 0.25 * $0 }
      } else {
        let least: Float = tensor.name.contains(".skipbn.") ? 4 : 2.5
        tensor.values = us.map { $0 < 0 ? -least + $0 : least + $0 }
      }
      return tensor
    }
    _ = try detector.load(tensors, from: "fixture", seed: 3)
    let program = TrainingProgram(detector, crop: crop, batch: labels.count, workers: workers)
    program.refresh()
    // Each pass leaves 0.9 of what was there.
    for _ in 0..<60 { _ = try program.forward(images: images, labels: labels) }
    return detector
  }

  private static func closesBlock(_ name: String, _ detector: Detector) -> Bool {
    let parts = name.split(separator: ".")
    guard parts.count == 4, parts[1] == "rep" else { return false }
    let prefix = "\(parts[0]).rep."
    let last = detector.parameters.filter { $0.name.hasPrefix(prefix) }
      .map { Int($0.name.split(separator: ".")[2])! }.max()
    return Int(parts[2]) == last
  }

  static func batch(_ numbers: [Int], crop: Int) -> (images: [Float], labels: [UInt8]) {
    let batch = Oracle.batch(numbers, size: crop)
    return (batch.images, batch.labels.map(UInt8.init))
  }
}

/// A FAM pass's results.
struct AttentionResult: Equatable {
  /// (count, 2)
  var logits: [Float]
  /// (count, crop, crop, 3)
  var gradients: [Float]

  static func of(
    _ program: AttentionProgram, _ images: [Float], selected: [Int]
  ) -> AttentionResult {
    var result = AttentionResult(
      logits: [Float](repeating: .nan, count: 2 * selected.count),
      gradients: [Float](
        repeating: .nan, count: selected.count * program.crop * program.crop * 3))
    selected.withUnsafeBufferPointer {
      program.run(
        images: images, selected: $0, logits: &result.logits, gradients: &result.gradients)
    }
    return result
  }

  /// Largest magnitude over the channels of the `n`-th image (Wang and Deng, section 3.1).
  func attention(_ n: Int) -> [Float] {
    let pixels = gradients.count / (logits.count / 2) / 3
    return (n * pixels..<(n + 1) * pixels).map { p in
      max(abs(gradients[3 * p]), abs(gradients[3 * p + 1]), abs(gradients[3 * p + 2]))
    }
  }

  func inputGradient(_ n: Int) -> [Float] {
    let each = gradients.count / (logits.count / 2)
    return Array(gradients[n * each..<(n + 1) * each])
  }
}

extension InferenceProgram {
  func logits(_ images: [Float], count: Int) -> [Float] {
    var logits = [Float](repeating: .nan, count: 2 * count)
    run(images: images, count: count, logits: &logits)
    return logits
  }
}

/// A training pass's results.
struct TrainingResult: Equatable {
  var loss: Double
  var logits: [Float]
  var gradients: [Float]
  var running: [Float]

  /// Forward and backward of one batch.
  static func of(
    _ program: TrainingProgram, _ images: [Float], _ labels: [UInt8], accumulate: Bool = false
  ) throws -> TrainingResult {
    program.refresh()
    let loss = try program.pass(images, labels, accumulate: accumulate)
    try program.finishGradients()
    return TrainingResult(
      loss: loss, logits: Array(program.logits), gradients: Array(program.detector.gradients),
      running: Array(program.detector.runningStatistics))
  }
}

extension TrainingProgram {
  /// Forward and backward of a batch, whose memory stays until backward is done. Returns the loss.
  func pass(_ images: [Float], _ labels: [UInt8], accumulate: Bool = false) throws -> Double {
    try images.withUnsafeBufferPointer { images in
      try labels.withUnsafeBufferPointer { labels in
        let loss = try forward(images: images.baseAddress!, labels: labels.baseAddress!)
        try backward(accumulate: accumulate)
        return loss
      }
    }
  }
}

func cosine(_ a: some Sequence<Float>, _ b: some Sequence<Float>) -> Double {
  var (product, left, right) = (0.0, 0.0, 0.0)
  for (x, y) in zip(a, b) {
    product += Double(x) * Double(y)
    left += Double(x) * Double(x)
    right += Double(y) * Double(y)
  }
  return product / (left * right).squareRoot()
}
