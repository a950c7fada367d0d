import Foundation
import Testing

@testable import Networks
@testable import Tensors

/// Every backward pass against central differences of its forward pass, without any reference.
///
/// The function is made smooth by its weights (`Fixture.separatedTiny`); what is left are pooling
/// windows whose winner changes and float32 rounding. A direction is half the gradient and half
/// random: the first gives a derivative that stands out from the rounding, the second makes wrong
/// elements count that the gradient itself would not show. Differences D over the steps h and 2h
/// combine to cancel the third derivative, (4·D(h) − D(2h))/3 (Richardson).
///
/// The error bar is taken from the function itself: twice how far D(h) and D(2h) are apart, for
/// kinks and curvature, and the rounding of the losses over the step; three percent of the
/// derivative come on top. None of them grows with an error of the backward pass, so one that moves
/// the derivative by more is seen: a wrong tap, a missing mask, a sign, a missing term.
@Suite(.serialized) struct FiniteDifferenceTests {
  private static let crop = 47
  /// One more than the images that a task takes together.
  private static let numbers = [3, 8, 13, 22, 31]
  /// Of a loss, which averages over pixels and images; measured: some 3e-8.
  private static let rounding = 2e-7
  private static let share = 0.03

  /// Half `gradient`, half noise of the same norm, together of norm one.
  private static func direction(_ gradient: [Float], _ draws: inout Draws) -> [Double] {
    let noise = draws.normal(gradient.count).map(Double.init)
    let gradient = gradient.map(Double.init)
    let noiseNorm = norm(noise)
    let gradientNorm = max(norm(gradient), 1e-30)
    let sum = zip(gradient, noise).map { $0 / gradientNorm + $1 / noiseNorm }
    let length = norm(sum)
    return sum.map { $0 / length }
  }

  private static func norm(_ values: [Double]) -> Double {
    values.reduce(0) { $0 + $1 * $1 }.squareRoot()
  }

  private struct Difference {
    var value: Double
    var error: Double
  }

  private static func difference(
    step: Double, rounding: Double = rounding, _ function: (Double) throws -> Double
  ) rethrows -> Difference {
    let near = try (function(step) - function(-step)) / (2 * step)
    let far = try (function(2 * step) - function(-2 * step)) / (4 * step)
    return Difference(
      value: (4 * near - far) / 3, error: 2 * abs(near - far) + 1.5 * rounding / step)
  }

  @Test(arguments: [false, true])
  func everyWeightGradientIsTheLosssDerivative(synchronized: Bool) throws {
    let workers = WorkerPool(threads: 2)
    let (images, labels) = Fixture.batch(Self.numbers, crop: Self.crop)
    let detector = try Fixture.separatedTiny(
      crop: Self.crop, images: images, labels: labels, workers: workers)
    let program = TrainingProgram(
      detector, crop: Self.crop, batch: labels.count, workers: workers,
      reduction: synchronized ? StatisticsReduction(ranks: 1) { _ in } : nil)
    let gradients = try TrainingResult.of(program, images, labels).gradients
    var draws = Draws(61)
    var sharp = 0
    for parameter in detector.parameters {
      let gradient = gradients.withUnsafeBufferPointer {
        parameter.published(from: $0.baseAddress!)
      }
      let values = parameter.published(from: detector.values.baseAddress!)
      let weightNorm = Self.norm(values.map(Double.init))
      // A batch norm's values are judged by one, not by themselves: some are near zero.
      let size =
        parameter.layout == .vector
        ? max(weightNorm, Double(values.count).squareRoot()) : weightNorm
      for _ in 0..<2 {
        let direction = Self.direction(gradient, &draws)
        let expected = zip(direction, gradient).reduce(0) { $0 + $1.0 * Double($1.1) }
        // The loss should change by 1.5e-5, well above its rounding, the weights by at most 0.2 %.
        // The maximum over a window is convex: larger steps are off to one side.
        let step = min(1.5e-5 / max(abs(expected), 1e-12), 0.002 * size)
        let measured = try Self.difference(step: step) { step in
          let moved = zip(values, direction).map { Float(Double($0) + step * $1) }
          parameter.store(moved, into: detector.values.baseAddress!)
          program.refresh()
          return try program.forward(images: images, labels: labels)
        }
        parameter.store(values, into: detector.values.baseAddress!)
        if measured.error < 0.1 * abs(expected) { sharp += 1 }
        #expect(
          abs(measured.value - expected) < Self.share * abs(expected) + measured.error,
          "\(parameter.name): measured \(measured), computed \(expected), step \(step)")
      }
    }
    // The error bars leave something to be tested.
    #expect(Double(sharp) > 0.8 * Double(2 * detector.parameters.count))
  }

  @Test(arguments: [1, 4])
  func inputGradientIsTheDerivativeOfTheLogits(groupSize: Int) throws {
    let workers = WorkerPool(threads: 2)
    let (images, labels) = Fixture.batch(Self.numbers, crop: Self.crop)
    let detector = try Fixture.separatedTiny(
      crop: Self.crop, images: images, labels: labels, workers: workers)
    let program = AttentionProgram(
      detector, crop: Self.crop, groupSize: groupSize, workers: workers)
    program.refresh()
    let all = Array(Self.numbers.indices)
    let result = AttentionResult.of(program, images, selected: all)
    let each = images.count / all.count
    var draws = Draws(62)
    for n in all {
      let gradient = result.inputGradient(n)
      for _ in 0..<4 {
        let direction = Self.direction(gradient, &draws)
        let expected = zip(direction, gradient).reduce(0) { $0 + $1.0 * Double($1.1) }
        let measured = Self.difference(step: 0.004 / abs(expected), rounding: 1e-6) { step in
          var moved = images
          for i in 0..<each {
            moved[n * each + i] = Float(Double(moved[n * each + i]) + step * direction[i])
          }
          let logits = AttentionResult.of(program, moved, selected: [n]).logits
          return Double(logits[1]) - Double(logits[0])
        }
        #expect(
          abs(measured.value - expected) < Self.share * abs(expected) + measured.error,
          "image \(n): measured \(measured), computed \(expected)")
      }
    }
  }

  /// The loss's own derivative, where softmax over- or underflows too.
  @Test func crossEntropysGradientIsItsDerivative() {
    for (real, fake) in [(0.0, 0.0), (1.5, -2.0), (-3, 4), (30, -30), (-800, 900)] {
      for label: UInt8 in [0, 1] {
        let loss = { CrossEntropy.loss(real: real, fake: $0, label: label) }
        let measured = (loss(fake + 1e-5) - loss(fake - 1e-5)) / 2e-5
        let computed = CrossEntropy.fakeGradient(real: real, fake: fake, label: label)
        #expect(loss(fake).isFinite)
        #expect(abs(measured - computed) < 1e-6 * max(1, abs(loss(fake))))
      }
    }
    #expect(abs(CrossEntropy.loss(real: 0, fake: 0, label: 1) - log(2)) < 1e-15)
  }
}
