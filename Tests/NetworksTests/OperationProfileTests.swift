import Foundation
import Tensors
import Testing

@testable import Networks

/// What operations are said to cost, and how their time is taken.
@Suite struct OperationProfileTests {
  @Test(arguments: DetectorName.allCases)
  func operationsHaveTheMultiplyAddsOfTheirGraph(_ name: DetectorName) {
    let crop = name.usualCrop
    let graph = name.graph
    let plan = PassPlan(LoweredNetwork(graph, crop: crop), .training)
    let indices = plan.network.operations.indices
    let forward = indices.map { plan.forwardCost($0, images: 3, .float32) }
    let backward = indices.map { plan.backwardCost($0, images: 3, .float32) }
    let all = 3 * graph.multiplyAccumulates(crop: crop)
    #expect(forward.reduce(0) { $0 + $1.multiplyAdds } == all)
    // Twice, but for the image's own gradient, which nobody wants.
    let first = indices.filter { plan.network.operations[$0].inputs.isEmpty }
      .reduce(0) { $0 + forward[$1].multiplyAdds }
    #expect(backward.reduce(0) { $0 + $1.multiplyAdds } == 2 * all - first)
    for cost in forward + backward { #expect(cost.bytes > 0) }
  }

  @Test func aSeparableConvolutionReadsItsMapAndWeightsAndWritesItsOutput() throws {
    let network = LoweredNetwork(DetectorName.xceptionTiny.graph, crop: 64)
    let plan = PassPlan(network, .inference)
    let index = try #require(
      network.operations.indices.first {
        if case .separable = network.operations[$0].kind { true } else { false }
      })
    guard case .separable(let depthwise, let pointwise) = network.operations[index].kind else {
      return
    }
    let input = network.maps[network.operations[index].inputs[0].map]
    let output = network.maps[network.operations[index].output]
    func elements(_ map: LoweredNetwork.StoredMap) -> Int {
      map.size.height * map.size.width * ((map.channels + 15) / 16 * 16)
    }
    let taps = 9 * ((depthwise.inputs + 15) / 16 * 16)
    let weights = pointwise.inputs * pointwise.outputs
    #expect(
      plan.forwardCost(index, images: 2, .float32)
        == OperationCost(
          multiplyAdds: 2 * output.size.pixels
            * (9 * depthwise.inputs + pointwise.inputs * pointwise.outputs),
          bytes: 4 * (2 * (elements(input) + elements(output)) + taps + weights)))
    #expect(plan.backwardCost(index, images: 2, .float32) == OperationCost())
  }

  /// Measuring changes nothing of what is computed, and accounts for no more time than there was.
  @Test func measuringTakesTimesAndChangesNothing() throws {
    let (crop, batch, threads) = (64, 6, 2)
    let workers = WorkerPool(threads: threads)
    let images = AlignedMemory(size: batch * crop * crop * 3 * 4)
    var generator = CounterGenerator(seed: 7, purpose: .synthesis)
    for i in 0..<images.size / 4 {
      images.floats()[i] = Float(generator.nextUInt32()) / Float(UInt32.max) * 2 - 1
    }
    let labels: [UInt8] = [0, 1, 1, 0, 1, 0]
    func gradients(measured: Bool) throws -> [UInt32] {
      let detector = Detector(.xceptionTiny)
      detector.initialise(seed: 3)
      let program = TrainingProgram(detector, crop: crop, batch: batch, workers: workers)
      program.refresh()
      if measured { program.measureOperations() }
      let start = ContinuousClock.now
      _ = try labels.withUnsafeBufferPointer {
        try program.forward(images: images.floats(), labels: $0.baseAddress!)
      }
      try program.backward()
      let elapsed = (ContinuousClock.now - start) / .seconds(1)
      let profiles = program.operationProfiles()
      let spent = profiles.map { $0.forwardSeconds + $0.backwardSeconds }
      if measured {
        for profile in profiles where profile.kind != "flattening" {
          #expect(profile.forwardSeconds > 0, "\(profile.name)")
          #expect(profile.backwardSeconds > 0, "\(profile.name)")
        }
        #expect(spent.reduce(0, +) <= Double(threads) * elapsed)
      } else {
        #expect(spent.allSatisfy { $0 == 0 })
      }
      return detector.gradients.map(\.bitPattern)
    }
    #expect(try gradients(measured: true) == gradients(measured: false))
  }
}
