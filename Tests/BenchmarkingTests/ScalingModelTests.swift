import Testing

@testable import Benchmarking

@Suite struct ScalingModelTests {
  /// 0.4 s before backward, 1 s of it, 0.1 s of update; two buckets of 8 MB, ready halfway and at the
  /// end.
  private func model(latency: Double = 1e-4, bandwidth: Double = 1e9) -> ScalingModel {
    ScalingModel(
      compute: .init(
        beforeBackward: 0.4, backward: 1, update: 0.1, bucketReady: [0.5, 1],
        bucketBytes: [8_000_000, 8_000_000], statisticsBytes: 0, deviation: 0, imagesPerRank: 4),
      network: .init(latency: latency, bandwidth: bandwidth, processorPerByte: 0))
  }

  private func close(_ a: Double, _ b: Double, _ tolerance: Double = 1e-9) -> Bool {
    (a - b).magnitude <= tolerance * max(a.magnitude, b.magnitude)
  }

  @Test func aReductionTakesTwoLogarithmOfRanksMessagesAndTwiceTheBytesAtMost() {
    let model = model()
    let bytes = 8_000_000
    func seconds(_ ranks: Int) -> Double {
      model.reduction(bytes: bytes, ranks: ranks, compressed: false)
    }
    #expect(seconds(1) == 0)
    #expect(close(seconds(2), 2e-4 + 8e-3))
    #expect(close(seconds(4), 4e-4 + 12e-3))
    #expect(close(seconds(8), 6e-4 + 14e-3))
    #expect(close(seconds(1024), 20e-4 + 16e-3 * 1023 / 1024))
    // The third rank hands all to its partner, and gets all back.
    #expect(close(seconds(3), seconds(2) + 2e-4 + 16e-3))
  }

  @Test func compressionHalvesTheBytesButEveryRankWritesToEveryOther() {
    let model = model()
    func seconds(_ ranks: Int) -> Double {
      model.reduction(bytes: 8_000_000, ranks: ranks, compressed: true)
    }
    #expect(close(seconds(2), 2e-4 + 4e-3))
    #expect(close(seconds(4), 6e-4 + 6e-3))
    #expect(close(seconds(1024), 2046e-4 + 8e-3 * 1023 / 1024))
  }

  @Test func ranksOfAHostShareItsLinkAndNeedNoneAmongThemselves() {
    var model = model()
    model.ranksPerHost = 4
    model.isHierarchical = false
    func seconds(_ ranks: Int) -> Double {
      model.reduction(bytes: 8_000_000, ranks: ranks, compressed: false)
    }
    #expect(seconds(4) == 0)
    // Halves and quarters stay on the host; the eighths of four ranks go over one link.
    #expect(close(seconds(8), 2e-4 + 2 * 4 * 1e6 / 1e9))
  }

  @Test(arguments: [false, true])
  func hostsThatAddUpWithinThemselvesSendAsMuchAsOneRankEach(compressed: Bool) {
    var model = model()
    model.network.hostPerByte = 0.5e-9
    func seconds(_ ranks: Int) -> Double {
      model.reduction(bytes: 8_000_000, ranks: ranks, compressed: compressed)
    }
    let (two, four) = (seconds(2), seconds(4))
    model.ranksPerHost = 4
    // The memory of the host alone, then that and the links.
    #expect(close(seconds(4), 4e-3))
    #expect(close(seconds(8), 4e-3 + two))
    #expect(close(seconds(16), 4e-3 + four))
    // The last host need not be full.
    #expect(close(seconds(13), 4e-3 + four))
    // Messages of every rank: halving and doubling begin within the hosts and send as much between them;
    // compressed, everybody sends to everybody.
    model.isHierarchical = false
    if compressed {
      #expect(seconds(16) > 4e-3 + four)
    } else {
      #expect(close(seconds(16), four))
    }
  }

  /// The second bucket is added up within the host, 4 ms, when the first has long travelled; it waits for
  /// nothing but its own way.
  @Test func aHostAddsUpABucketWhileTheOneBeforeItTravels() {
    var model = model(latency: 0, bandwidth: 80e6)
    model.ranksPerHost = 2
    model.network.hostPerByte = 0.5e-9
    // Each bucket travels for 0.1 s between two hosts.
    model.compute.bucketReady = [0.95, 1]
    let prediction = model.predict(ranks: 4)
    #expect(close(prediction.exposed, 0.954 + 0.2 - 1, 1e-4))
    // Sums in memory one after the other with messages would take 4 ms more.
    #expect(prediction.exposed < 0.954 + 0.2 - 1 + 0.002)
  }

  @Test func oneRankWaitsForNobody() {
    let prediction = model().predict(ranks: 1)
    #expect(prediction.step == 1.5 && prediction.efficiency == 1 && prediction.exposed == 0)
    #expect(close(prediction.imagesPerSecond, 4 / 1.5))
  }

  /// The first bucket hides behind backward; the second begins when it ends.
  @Test func onlyWhatBackwardDoesNotHideIsWaitedFor() {
    let bucket = 2e-4 + 8e-3
    let prediction = model().predict(ranks: 2)
    let last = 2e-4 + 16 / 1e9  // the loss and the wish to stop, after all gradients
    #expect(close(prediction.exposed, bucket + last))
    #expect(close(prediction.step, 1.5 + bucket + last))
    #expect(close(prediction.efficiency, 1.5 / prediction.step))
    #expect(close(prediction.imagesPerSecond, 8 / prediction.step))
  }

  /// A bucket waits for the one before it: with 1 s each, the last ends 2.5 s after backward's begin.
  @Test func aSlowNetworkDecidesTheStep() {
    let slow = model(latency: 0, bandwidth: 8e6).predict(ranks: 2)
    #expect(close(slow.exposed, 1.5 + 2e-6))
    #expect(close(slow.step, 3 + 2e-6))
  }

  /// All 8 MB of the first bucket are reduced behind backward and take 0.1 s of the workers; backward
  /// and the second bucket end that much later.
  @Test func reductionTakesProcessorTimeFromTheWorkers() {
    var model = model()
    let before = model.predict(ranks: 2)
    model.network.processorPerByte = 0.1 / 8e6
    #expect(close(model.predict(ranks: 2).step, before.step + 0.1, 1e-6))
    model.contention = 0.5
    #expect(close(model.predict(ranks: 2).step, before.step + 0.05, 1e-6))
    model.contention = 0
    #expect(model.predict(ranks: 2) == before)
  }

  @Test func checkpointsAndUnevenRanksCostTheirShare() {
    var model = model()
    let before = model.predict(ranks: 16)
    model.checkpoints = .init(seconds: 2, everySteps: 100)
    #expect(close(model.predict(ranks: 16).step, before.step + 0.02))
    #expect(model.predict(ranks: 1).efficiency == 1)
    model.checkpoints = nil
    model.compute.deviation = 0.1
    let uneven = model.predict(ranks: 16)
    #expect(close(uneven.straggling, 0.1 * ScalingModel.expectedMaximum(of: 16)))
    #expect(close(uneven.step, before.step + uneven.straggling))
  }

  /// Means of the largest of n standard normal draws, as tables of order statistics have them.
  @Test(arguments: [
    (1, 0), (2, 0.56419), (3, 0.84628), (10, 1.53875), (100, 2.50759), (1000, 3.24144),
  ]) func theSlowestOfManyIsAsTablesSay(count: Int, mean: Double) {
    #expect((ScalingModel.expectedMaximum(of: count) - mean).magnitude < 0.03)
  }

  @Test func moreRanksAndSlowerNetworksAreNeverFaster() {
    for bandwidth in [1e7, 1e8, 1e9, 1e10] {
      var before = 0.0
      for power in 0...10 {
        let step = model(bandwidth: bandwidth).predict(ranks: 1 << power).step
        #expect(step >= before)
        #expect(step <= model(bandwidth: bandwidth / 2).predict(ranks: 1 << power).step)
        before = step
      }
    }
  }

  @Test(arguments: [(2, false), (4, false), (6, false), (4, true)])
  func aNetworkIsFoundFromItsReductions(ranks: Int, compressed: Bool) {
    let model = model(latency: 37e-6, bandwidth: 1.1e8)
    let points = (0...17).map { power in
      let bytes = 1024 << power
      return (bytes, model.reduction(bytes: bytes, ranks: ranks, compressed: compressed))
    }
    let found = ScalingModel.fit(
      points, ranks: ranks, compressed: compressed, processorPerByte: 1e-9)
    #expect(close(found.latency, 37e-6, 1e-6) && close(found.bandwidth, 1.1e8, 1e-6))
    #expect(found.processorPerByte == 1e-9)
  }

  @Test func aNetworkThatOnlyCostsBytesHasNoNegativeLatency() {
    let found = ScalingModel.fit(
      [(1000, 0.9e-5), (1_000_000, 1e-2), (2_000_000, 2e-2)], ranks: 2, compressed: false,
      processorPerByte: 0)
    #expect(found.latency >= 0 && close(found.bandwidth, 1e8, 0.1))
  }

  @Test func aForecastNeedsAStepOfOneRank() throws {
    var report = BenchmarkJob.Report(
      model: "xception", crop: 224, batchPerRank: 4, ranks: 1, threads: 1, precision: "float32",
      kernels: "avx2", steps: 5, imagesPerSecond: 4, secondsPerStep: 1,
      secondsPerPhase: ["backward": 0.5, "update": 0.1], gflopsPerSecond: 0,
      gemmGflopsPerSecond: 0, percentOfGemm: 0, peakMemoryBytes: 0, dataWaitFraction: 0)
    report.bucketBytes = [64, 64]
    report.bucketReadySeconds = [0.2, 0.5]
    report.statisticsBytes = 8
    let compute = try ScalingForecast.compute(from: report, path: "x")
    #expect(close(compute.beforeBackward, 0.4) && compute.step == 1)
    report.ranks = 2
    #expect(throws: ScalingForecast.BenchmarkFileError.self) {
      try ScalingForecast.compute(from: report, path: "x")
    }
    report.ranks = 1
    report.bucketBytes = nil
    #expect(throws: ScalingForecast.BenchmarkFileError.self) {
      try ScalingForecast.compute(from: report, path: "x")
    }
  }
}
