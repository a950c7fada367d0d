import Testing

@testable import Networks
@testable import Tensors

/// bfloat16 against float32, on the weights and images of the goldens.
@Suite(.serialized) struct BFloat16Tests {
  /// Measured: at least 0.998 on Xception at 224, 0.9906 on the tiny detector.
  @Test(arguments: ["xception-224", "xception-tiny-96", "xception-tiny-97"])
  func attentionPointsWhereFloat32Points(name: String) throws {
    let golden = try OracleCase(name)
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector(golden.model)
    let (images, _) = Fixture.batch(golden.evaluationImages, crop: golden.crop)
    let all = Array(golden.evaluationImages.indices)
    let results = Precision.allCases.map { precision in
      let program = AttentionProgram(
        detector, crop: golden.crop, precision: precision, workers: workers)
      program.refresh()
      return AttentionResult.of(program, images, selected: all)
    }
    for n in all {
      let similarity = cosine(results[1].attention(n), results[0].attention(n))
      #expect(similarity > 0.99, "image \(n)")
    }
  }

  /// Random weights as the usual PyTorch Xception draws them: normal with variance 2/fan-out, where
  /// the fan-out of a depthwise convolution counts all its channels; running statistics of a few
  /// batches. Measured: at least 0.9987 (PyTorch autocast: 0.996).
  @Test(arguments: [1, 5])
  func attentionOfRandomWeightsPointsWhereFloat32Points(seed: UInt64) throws {
    let (crop, count) = (224, 2)
    let workers = WorkerPool(threads: 2)
    let detector = Detector(.xception)
    detector.initialise(seed: seed)
    for parameter in detector.parameters where parameter.shape.count == 4 {
      let fanOut = parameter.shape[0] * parameter.shape[2] * parameter.shape[3]
      let factor = (Float(parameter.fanIn) / Float(fanOut)).squareRoot()
      let values = parameter.published(from: detector.values.baseAddress!)
      parameter.store(values.map { $0 * factor }, into: detector.values.baseAddress!)
    }
    // Smooth along the rows, like an image.
    var generator = CounterGenerator(seed: seed, purpose: .crop)
    var images = [Float](repeating: 0, count: count * crop * crop * 3)
    for i in images.indices {
      images[i] = Float(generator.normal()) * 0.4 + (i >= 3 ? 0.9 * images[i - 3] : 0)
    }
    let training = TrainingProgram(detector, crop: crop, batch: count, workers: workers)
    training.refresh()
    for _ in 0..<12 { _ = try training.forward(images: images, labels: [0, 1]) }
    let results = Precision.allCases.map { precision in
      let program = AttentionProgram(
        detector, crop: crop, precision: precision, workers: workers)
      program.refresh()
      return AttentionResult.of(program, images, selected: Array(0..<count))
    }
    for n in 0..<count {
      let similarity = cosine(results[1].attention(n), results[0].attention(n))
      #expect(similarity > 0.99, "image \(n)")
    }
  }

  /// Measured with dot products: logits within 0.05, 0.9 and 1.3 %, running statistics
  /// 2e-4, 7e-4 and 1e-3; cosines of the gradients 0.999999, 0.953 and 0.942. Ordinary random
  /// weights, the tiny detector's, put many elements at their kinks, which rounding to 8 bits moves
  /// across.
  @Test(arguments: [("xception-224", 0.999), ("xception-tiny-96", 0.9), ("xception-tiny-97", 0.9)])
  func trainingFollowsFloat32(name: String, leastCosine: Double) throws {
    let golden = try OracleCase(name)
    let workers = WorkerPool(threads: 2)
    let (images, labels) = Fixture.batch(golden.trainingImages, crop: golden.crop)
    let results = try Precision.allCases.map { precision in
      let program = TrainingProgram(
        try Fixture.detector(golden.model), crop: golden.crop, batch: labels.count,
        precision: precision, workers: workers)
      return try TrainingResult.of(program, images, labels)
    }
    // Cross-entropy moves at most as far as the difference of the logits does.
    func differences(_ result: TrainingResult) -> [Double] {
      labels.indices.map { Double(result.logits[2 * $0 + 1]) - Double(result.logits[2 * $0]) }
    }
    let moved = zip(differences(results[0]), differences(results[1])).map { abs($0 - $1) }
    let most = moved.reduce(0, +) / Double(moved.count)
    #expect(abs(results[1].loss - results[0].loss) <= most + 1e-6)
    #expect(relativeDistance(results[1].logits, results[0].logits) < 0.03)
    #expect(cosine(results[1].gradients, results[0].gradients) > leastCosine)
    #expect(relativeDistance(results[1].running, results[0].running) < 0.002)
  }
}
