import MessagePassing
import Networks
import Tensors
import Testing

@testable import Benchmarking

@Suite struct OperationBenchmarkTests {
  private static func report(inference: Bool) throws -> OperationBenchmark.Report {
    var settings = BenchmarkSettings()
    settings.model = .xceptionTiny
    settings.crop = 64
    settings.batch = 4
    settings.threads = 2
    settings.steps = 1
    settings.warmup = 1
    settings.inference = inference
    return try OperationBenchmark.run(settings, Communicator.world(needing: .single))
  }

  /// The arithmetic of a step is attention's two passes and the update's three, less the image's gradient.
  @Test func aStepsArithmeticIsThatOfItsOperations() throws {
    let report = try Self.report(inference: false)
    let macs = Double(NetworkCost.multiplyAccumulates(.xceptionTiny, crop: 64))
    let flops = report.rows.reduce(0) { $0 + $1.flops }
    let first = try #require(report.rows.first { $0.pass == .update && !$0.isBackward })
    #expect(flops == 5 * 2 * 4 * macs - first.flops)
    #expect(report.byKind.reduce(0) { $0 + $1.flops } == flops)
    #expect(Set(report.passSeconds.keys) == ["attention", "update"])
    #expect(report.arithmeticLimit > 0 && report.memoryLimit > 0)
    for row in report.rows {
      #expect(row.bytes > 0)
      let bounds = [row.flops / report.arithmeticLimit, row.bytes / report.memoryLimit]
      #expect(row.limitSeconds == bounds.max())
      #expect((row.bound == .arithmetic) == (bounds[0] >= bounds[1]))
    }
    let times = report.byKind.map(\.seconds)
    #expect(times == times.sorted(by: >))
  }

  @Test func inferenceGoesForwardOnly() throws {
    let report = try Self.report(inference: true)
    let macs = Double(NetworkCost.multiplyAccumulates(.xceptionTiny, crop: 64))
    #expect(report.rows.allSatisfy { $0.pass == .inference && !$0.isBackward })
    #expect(report.rows.reduce(0) { $0 + $1.flops } == 2 * 4 * macs)
  }
}
