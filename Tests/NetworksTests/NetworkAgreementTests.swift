import Testing

@testable import Configuration
@testable import Networks
@testable import Tensors
@testable import Training

/// Every network but Xception (``AgreementWithPyTorchTests``) against PyTorch in float64 (timm's where it has the network), on
/// weights and images that both sides draw alike: names, shapes, logits, attention, gradients and
/// running statistics, at three sizes.
@Suite(.serialized) struct NetworkAgreementTests {
  /// Nor one that is made of parts that others show: its layers are those of
  /// deepfakebench-efficientnet-b4, its first one's padding that of efficientnet-pytorch-b0.
  static let networks = DetectorName.allCases.filter {
    ![.xception, .xceptionTiny, .efficientnetPyTorchB4].contains($0)
  }

  /// Rounding alone, seen in PyTorch, may take up a good part of a tolerance.
  private static func tolerance(_ target: Double, _ sketch: NetworkGolden.Sketch) -> Double {
    max(target, 3 * sketch.float32Error)
  }

  /// Names, order and shapes are PyTorch's: or other numbers would have been drawn.
  @Test(arguments: networks)
  func weightsAreBitwisePythons(name: DetectorName) throws {
    let golden = try NetworkGolden(name)
    var total: UInt64 = 0
    var place: UInt64 = 1
    for tensor in Fixture.drawnWeights(name) {
      for value in tensor.values {
        total &+= UInt64(value.bitPattern) &* place
        place += 1
      }
    }
    #expect(total == golden.weightsChecksum)
  }

  @Test(arguments: networks)
  func logitsAndAttentionArePyTorchs(name: DetectorName) throws {
    let golden = try NetworkGolden(name)
    let detector = try Fixture.drawn(name)
    for golden in golden.cases.map({ Reader(golden, $0) }) {
      let crop = golden.which.crop
      let (images, _) = Fixture.batch(golden.which.evaluationImages, crop: crop)
      let count = golden.which.evaluationImages.count
      let workers = WorkerPool(threads: 2)
      let inference = InferenceProgram(detector, crop: crop, workers: workers)
      inference.refresh()
      let logits = inference.logits(images, count: count)
      let attention = AttentionProgram(detector, crop: crop, workers: workers)
      attention.refresh()
      let result = AttentionResult.of(attention, images, selected: Array(0..<count))
      #expect(result.logits == logits)
      for n in 0..<count {
        let wanted = golden.next(3)
        let error = relativeDistance(logits[2 * n..<2 * n + 2], wanted.prefix(2))
        #expect(error < max(1e-4, 3 * Double(wanted.last!)), "\(crop), image \(n): \(logits)")
      }
      for n in 0..<count {
        let sketch = golden.sketch()
        let map = result.attention(n)
        let error = sketch.relativeError(of: map)
        #expect(error < Self.tolerance(1e-3, sketch), "\(crop), image \(n): \(error)")
        #expect(
          map.indices.max { map[$0] < map[$1] } == golden.which.mostSensitive[n], "\(crop)")
      }
    }
  }

  /// `synchronized` batch norm on one rank, whose sums over ranks are its own, at the odd size.
  @Test(arguments: networks)
  func lossGradientsAndStatisticsArePyTorchs(name: DetectorName) throws {
    let golden = try NetworkGolden(name)
    for golden in golden.cases.map({ Reader(golden, $0) }) {
      for synchronized in golden.which.crop == 97 ? [false, true] : [false] {
        let detector = try Fixture.drawn(name)
        let crop = golden.which.crop
        golden.skipEvaluation()
        let count = golden.which.trainingImages.count
        let program = TrainingProgram(
          detector, crop: crop, batch: count, workers: WorkerPool(threads: 2),
          reduction: synchronized ? StatisticsReduction(ranks: 1) { _ in } : nil)
        let (images, labels) = Fixture.batch(golden.which.trainingImages, crop: crop)
        let result = try TrainingResult.of(program, images, labels)
        let lossTolerance = max(
          1e-5 * golden.which.loss, 3 * abs(golden.which.float32Loss - golden.which.loss))
        #expect(abs(result.loss - golden.which.loss) < lossTolerance, "\(crop)")
        let logits = golden.next(2 * count)
        #expect(relativeDistance(result.logits, logits) < 1e-4, "\(crop)")
        let gradients = detector.tensors(of: detector.gradients.baseAddress!)
        for gradient in gradients.sorted(by: { $0.name < $1.name }) {
          let sketch = golden.sketch()
          let error = sketch.relativeError(of: gradient.values)
          #expect(
            error < Self.tolerance(1e-3, sketch),
            "\(crop): \(gradient.name) \(error), PyTorch's own \(sketch.float32Error)")
        }
        let statistics = detector.weights().filter { $0.name.contains(".running_") }
        for statistic in statistics.sorted(by: { $0.name < $1.name }) {
          let sketch = golden.sketch()
          let error = sketch.relativeError(of: statistic.values)
          #expect(error < Self.tolerance(1e-4, sketch), "\(crop): \(statistic.name)")
        }
      }
    }
  }

  /// Root mean square over the steps of the losses' deviation from float64, at most three times that
  /// of PyTorch's own float32 run.
  @Test(arguments: networks)
  func tenAdamStepsFollowPyTorchsLosses(name: DetectorName) throws {
    let golden = try NetworkGolden(name).steps
    let detector = try Fixture.drawn(name)
    let program = TrainingProgram(
      detector, crop: golden.crop, batch: golden.batch, workers: WorkerPool(threads: 2))
    var settings = Configuration.Training.Optimizer()
    settings.name = .adam
    let optimizer = Optimizer(settings, count: detector.values.count)
    var (own, pytorch) = (0.0, 0.0)
    for step in golden.losses.indices {
      let numbers = Array(step * golden.batch..<(step + 1) * golden.batch)
      let (images, labels) = Fixture.batch(numbers, crop: golden.crop)
      let result = try TrainingResult.of(program, images, labels)
      let wanted = golden.losses[step]
      own += (result.loss - wanted) * (result.loss - wanted)
      pytorch += (golden.float32Losses[step] - wanted) * (golden.float32Losses[step] - wanted)
      optimizer.nextUpdate(learningRate: golden.learningRate, gradientScale: 1).apply(
        to: detector.values, gradients: UnsafeBufferPointer(detector.gradients),
        range: 0..<detector.values.count)
    }
    #expect(own.squareRoot() < 3 * pytorch.squareRoot(), "\(own) and \(pytorch)")
  }

  /// Goes through the values of a case in their order.
  private final class Reader {
    let which: NetworkGolden.Case
    private let values: [Float]
    private var place: Int

    init(_ golden: NetworkGolden, _ which: NetworkGolden.Case) {
      self.which = which
      values = golden.values
      place = which.offset
    }

    func next(_ count: Int) -> ArraySlice<Float> {
      defer { place += count }
      return values[place..<place + count]
    }

    func sketch() -> NetworkGolden.Sketch {
      NetworkGolden.Sketch(next(NetworkGolden.Sketch.count))
    }

    func skipEvaluation() {
      place = which.offset + which.evaluationImages.count * (3 + NetworkGolden.Sketch.count)
    }
  }
}
