import Testing

@testable import Networks
@testable import Tensors

/// What holds for every weight and image, and what reproducible runs stand on.
@Suite(.serialized) struct ProgramLawTests {
  private static let crop = 63
  private static let numbers = [2, 5, 7, 12, 15, 21, 24]

  @Test(arguments: Precision.allCases)
  func attentionAndInferenceDoNotDependOnTheThreads(precision: Precision) throws {
    let detector = try Fixture.detector("xception-tiny")
    let (images, labels) = Fixture.batch(Self.numbers, crop: Self.crop)
    var attention: [AttentionResult] = []
    var logits: [[Float]] = []
    for threads in 1...3 {
      let workers = WorkerPool(threads: threads)
      let program = AttentionProgram(
        detector, crop: Self.crop, precision: precision, groupSize: 2, workers: workers)
      program.refresh()
      attention.append(
        AttentionResult.of(program, images, selected: Array(Self.numbers.indices)))
      let inference = InferenceProgram(
        detector, crop: Self.crop, precision: precision, groupSize: 2, workers: workers)
      inference.refresh()
      logits.append(inference.logits(images, count: labels.count))
    }
    #expect(!attention[0].gradients.contains { !$0.isFinite })
    for other in 1...2 {
      #expect(attention[other] == attention[0])
      #expect(logits[other] == logits[0])
    }
    #expect(attention[0].logits == logits[0])
  }

  /// Maps from 10×10, which workers without a group take off the others, image by image: some groups
  /// are not full, and there are more threads than groups.
  @Test(arguments: Precision.allCases, [1, 5, 7])
  func helpChangesNothing(precision: Precision, count: Int) throws {
    let crop = 165
    let detector = try Fixture.detector("xception-tiny")
    let (images, _) = Fixture.batch(Array(Self.numbers[..<count]), crop: crop)
    var attention: [AttentionResult] = []
    var logits: [[Float]] = []
    for threads in [1, 2, 5] {
      let workers = WorkerPool(threads: threads)
      let program = AttentionProgram(
        detector, crop: crop, precision: precision, groupSize: 4, workers: workers)
      program.refresh()
      let inference = InferenceProgram(
        detector, crop: crop, precision: precision, groupSize: 4, workers: workers)
      inference.refresh()
      // Who helps whom is another thing each time.
      for _ in 0..<(threads == 1 ? 1 : 4) {
        attention.append(AttentionResult.of(program, images, selected: Array(0..<count)))
        logits.append(inference.logits(images, count: count))
      }
    }
    #expect(!attention[0].gradients.contains { !$0.isFinite })
    #expect(attention.allSatisfy { $0 == attention[0] })
    #expect(logits.allSatisfy { $0 == attention[0].logits })
  }

  @Test(arguments: Precision.allCases, [false, true])
  func trainingDoesNotDependOnTheThreads(precision: Precision, synchronized: Bool) throws {
    let (images, labels) = Fixture.batch(Self.numbers, crop: Self.crop)
    var results: [TrainingResult] = []
    for threads in 1...3 {
      let program = TrainingProgram(
        try Fixture.detector("xception-tiny"), crop: Self.crop, batch: labels.count,
        precision: precision, workers: WorkerPool(threads: threads),
        reduction: synchronized ? StatisticsReduction(ranks: 1) { _ in } : nil)
      results.append(try TrainingResult.of(program, images, labels))
    }
    #expect(!results[0].gradients.contains { !$0.isFinite })
    #expect(results[1] == results[0])
    #expect(results[2] == results[0])
  }

  @Test func aPassLeavesNothingBehindForTheNext() throws {
    let (images, labels) = Fixture.batch(Self.numbers, crop: Self.crop)
    let (others, _) = Fixture.batch([40, 41, 42, 43, 44, 45, 46], crop: Self.crop)
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let attention = AttentionProgram(detector, crop: Self.crop, workers: workers)
    attention.refresh()
    let all = Array(Self.numbers.indices)
    let first = AttentionResult.of(attention, images, selected: all)
    _ = AttentionResult.of(attention, others, selected: all)
    #expect(AttentionResult.of(attention, images, selected: all) == first)

    let training = TrainingProgram(
      detector, crop: Self.crop, batch: labels.count, workers: workers)
    let step = try TrainingResult.of(training, images, labels)
    _ = try TrainingResult.of(training, others, labels)
    let again = try TrainingResult.of(training, images, labels)
    #expect(again.loss == step.loss)
    #expect(again.gradients == step.gradients)
  }

  /// With running statistics nothing ties the images of a batch together.
  @Test func imagesAloneGiveWhatTheyGiveTogether() throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let (images, _) = Fixture.batch(Self.numbers, crop: Self.crop)
    let program = AttentionProgram(detector, crop: Self.crop, groupSize: 4, workers: workers)
    program.refresh()
    let together = AttentionResult.of(program, images, selected: Array(Self.numbers.indices))
    let each = Self.crop * Self.crop * 3
    for n in Self.numbers.indices {
      let alone = AttentionResult.of(
        program, Array(images[n * each..<(n + 1) * each]), selected: [0])
      #expect(relativeDistance(alone.logits, together.logits[2 * n..<2 * n + 2]) < 1e-5)
      #expect(relativeDistance(alone.gradients, together.inputGradient(n)) < 1e-5)
    }
  }

  /// One image at a time, the company changes no bit, and results come in the order asked for.
  @Test func groupsOfOneMakeImagesIndependentToTheLastBit() throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let (images, _) = Fixture.batch(Self.numbers, crop: Self.crop)
    let program = AttentionProgram(detector, crop: Self.crop, groupSize: 1, workers: workers)
    program.refresh()
    let together = AttentionResult.of(program, images, selected: Array(Self.numbers.indices))
    let selected = [5, 0, 3, 3]
    let some = AttentionResult.of(program, images, selected: selected)
    for (place, n) in selected.enumerated() {
      #expect(some.inputGradient(place) == together.inputGradient(n))
      #expect(some.logits[2 * place..<2 * place + 2] == together.logits[2 * n..<2 * n + 2])
    }
    let none = AttentionResult.of(program, images, selected: [])
    #expect(none.logits.isEmpty)
  }

  /// The logits are linear in the classifier, and so is their gradient.
  @Test func inputGradientIsLinearInTheClassifier() throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let (images, _) = Fixture.batch(Self.numbers, crop: Self.crop)
    let program = AttentionProgram(detector, crop: Self.crop, workers: workers)
    let classifier = try #require(detector.parameters.first { $0.name == "fc.weight" })
    var draws = Draws(71)
    let first = draws.rough(classifier.publishedCount, limit: 0.3)
    let second = draws.rough(classifier.publishedCount, limit: 0.3)
    func gradients(_ weights: [Float]) -> [Float] {
      classifier.store(weights, into: detector.values.baseAddress!)
      program.refresh()
      return AttentionResult.of(program, images, selected: Array(Self.numbers.indices)).gradients
    }
    let (a, b) = (gradients(first), gradients(second))
    let sum = gradients(zip(first, second).map { $0 + 2 * $1 })
    #expect(relativeDistance(sum, zip(a, b).map { $0 + 2 * $1 }) < 1e-5)
    // Only the difference of the two classes' weights counts.
    let half = classifier.publishedCount / 2
    let swapped = gradients(Array(first[half...] + first[..<half]))
    #expect(relativeDistance(swapped, a.map { -$0 }) < 1e-5)
  }

  @Test(arguments: [false, true])
  func accumulatedGradientsAreTheSum(synchronized: Bool) throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let program = TrainingProgram(
      detector, crop: Self.crop, batch: 5, workers: workers,
      reduction: synchronized ? StatisticsReduction(ranks: 1) { _ in } : nil)
    let (first, firstLabels) = Fixture.batch([2, 5, 7, 12, 15], crop: Self.crop)
    let (second, secondLabels) = Fixture.batch([3, 6, 8, 20, 31], crop: Self.crop)
    let a = try TrainingResult.of(program, first, firstLabels).gradients
    let b = try TrainingResult.of(program, second, secondLabels).gradients
    program.refresh()
    _ = try program.pass(first, firstLabels)
    _ = try program.pass(second, secondLabels, accumulate: true)
    try program.finishGradients()
    let sums = Array(detector.gradients)
    for parameter in detector.parameters {
      let range = parameter.offset..<parameter.offset + parameter.storedCount
      let distance = relativeDistance(sums[range], zip(a[range], b[range]).map(+))
      #expect(distance < 1e-5, "\(parameter.name)")
    }
  }

  /// Buckets travel while backward goes on: what has been called final must not change any more.
  @Test func gradientsCalledFinalAreFinal() throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let program = TrainingProgram(detector, crop: Self.crop, batch: 5, workers: workers)
    let (images, labels) = Fixture.batch([2, 5, 7, 12, 15], crop: Self.crop)
    for accumulate in [false, true] {
      program.refresh()
      var seen: [(count: Int, prefix: [Float])] = []
      program.finished = { seen.append(($0, Array(detector.gradients[..<$0]))) }
      _ = try program.pass(images, labels, accumulate: accumulate)
      let final = Array(detector.gradients)
      #expect(seen.count > 3)
      #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.count <= $1.count })
      #expect(seen.last?.count == detector.gradients.count)
      for (count, prefix) in seen {
        #expect(prefix == Array(final[..<count]), "the first \(count)")
      }
    }
  }

  /// A batch split over two ranks whose statistics are summed is the whole batch.
  @Test func statisticsOverRanksAreThoseOfTheGlobalBatch() throws {
    let whole = try Fixture.detector("xception-tiny")
    let (images, labels) = Fixture.batch([2, 5, 7, 12], crop: Self.crop)
    let program = TrainingProgram(
      whole, crop: Self.crop, batch: 4, workers: WorkerPool(threads: 1),
      reduction: StatisticsReduction(ranks: 1) { _ in })
    let expected = try TrainingResult.of(program, images, labels)

    // Two ranks with the same two images each: doubling is then what summing over ranks does, and
    // the global batch has every image twice.
    let (twice, twiceLabels) = Fixture.batch([2, 5, 2, 5], crop: Self.crop)
    let doubled = try TrainingResult.of(program, twice, twiceLabels)
    let half = try Fixture.detector("xception-tiny")
    let rank = TrainingProgram(
      half, crop: Self.crop, batch: 2, workers: WorkerPool(threads: 1),
      reduction: StatisticsReduction(ranks: 2) { sums in
        for i in sums.indices { sums[i] *= 2 }
      })
    let (part, partLabels) = Fixture.batch([2, 5], crop: Self.crop)
    let result = try TrainingResult.of(rank, part, partLabels)
    #expect(abs(result.loss - doubled.loss) < 1e-6)
    // Gradients are summed over ranks; each is the mean over its own batch.
    #expect(relativeDistance(result.gradients.map { $0 / 2 }, doubled.gradients) < 1e-5)
    #expect(expected.loss != doubled.loss)
  }

  @Test(arguments: Precision.allCases)
  func refreshedProgramsFollowTheWeights(precision: Precision) throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let (images, labels) = Fixture.batch([2, 5, 7, 12], crop: Self.crop)
    let inference = InferenceProgram(
      detector, crop: Self.crop, precision: precision, workers: workers)
    let attention = AttentionProgram(
      detector, crop: Self.crop, precision: precision, workers: workers)
    let training = TrainingProgram(
      detector, crop: Self.crop, batch: 4, precision: precision, workers: workers)
    inference.refresh()
    attention.refresh()
    let before = inference.logits(images, count: 4)
    let stepBefore = try TrainingResult.of(training, images, labels)
    for parameter in detector.parameters where parameter.name.hasSuffix(".weight") {
      let values = parameter.published(from: detector.values.baseAddress!)
      parameter.store(values.map { 1.02 * $0 }, into: detector.values.baseAddress!)
    }
    // The statistics have followed the training batch meanwhile.
    inference.refresh()
    attention.refresh()
    let fresh = InferenceProgram(
      detector, crop: Self.crop, precision: precision, workers: workers)
    fresh.refresh()
    let after = inference.logits(images, count: 4)
    #expect(after != before)
    #expect(after == fresh.logits(images, count: 4))
    #expect(AttentionResult.of(attention, images, selected: [0, 1, 2, 3]).logits == after)
    let freshTraining = TrainingProgram(
      detector, crop: Self.crop, batch: 4, precision: precision, workers: workers)
    let step = try TrainingResult.of(training, images, labels)
    let freshStep = try TrainingResult.of(freshTraining, images, labels)
    #expect(step.loss != stepBefore.loss)
    #expect(step.loss == freshStep.loss && step.gradients == freshStep.gradients)
  }

  /// From the smallest crop on, odd and even ones, maps of every parity.
  @Test(arguments: [32, 33, 40, 51, 64, 77])
  func everyCropRuns(crop: Int) throws {
    let workers = WorkerPool(threads: 2)
    let detector = try Fixture.detector("xception-tiny")
    let (images, labels) = Fixture.batch([2, 5, 7], crop: crop)
    let attention = AttentionProgram(detector, crop: crop, workers: workers)
    attention.refresh()
    let result = AttentionResult.of(attention, images, selected: [0, 1, 2])
    #expect(result.logits.allSatisfy(\.isFinite) && result.gradients.allSatisfy(\.isFinite))
    let training = TrainingProgram(detector, crop: crop, batch: 3, workers: workers)
    let step = try TrainingResult.of(training, images, labels)
    #expect(step.loss.isFinite && step.gradients.allSatisfy(\.isFinite))
  }

  /// What is wrong in an image must show in the loss, not vanish in a ReLU or a maximum.
  @Test func whatIsNotANumberReachesTheLoss() throws {
    let (clean, labels) = Fixture.batch([2, 5], crop: Self.crop)
    var images = clean
    images[images.count / 2 + 3000] = .nan
    let program = TrainingProgram(
      try Fixture.detector("xception-tiny"), crop: Self.crop, batch: 2,
      workers: WorkerPool(threads: 1))
    let result = try TrainingResult.of(program, images, labels)
    #expect(result.loss.isNaN)
  }
}
