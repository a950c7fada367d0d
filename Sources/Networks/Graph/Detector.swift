import CKernels
import Foundations
import Tensors

/// A fake-face detector's parameters and running statistics: image (RGB) → (real logit, fake logit).
///
/// Values and gradients are two arenas of float32 with one layout, ordered as backward finishes
/// the gradients, so that buckets of them can travel while backward goes on. Programs
/// (``TrainingProgram``, ``AttentionProgram``, ``InferenceProgram``) hold the buffers of a pass.
public final class Detector: @unchecked Sendable {
  public let form: DetectorForm
  public var name: DetectorName { form.name }
  /// Its layers.
  let graph: NetworkGraph

  /// Master weights, float32.
  public let values: UnsafeMutableBufferPointer<Float>
  /// Gradients of the weights, laid out like `values`.
  public private(set) var gradients: UnsafeMutableBufferPointer<Float>
  /// Running means and variances.
  public let runningStatistics: UnsafeMutableBufferPointer<Float>

  /// In declaration order, which is forward order.
  public var parameters: [Parameter] { graph.parameters }
  public var norms: [BatchNorm] { graph.norms }
  /// The published name of the layer that gives the logits.
  public var headName: String { graph.head.name }
  /// Each class has an activation map: see ``DetectorForm/hasActivationMaps``.
  public var hasActivationMaps: Bool { graph.features != nil }

  private let valueMemory: AlignedMemory
  private var gradientMemory: AnyObject
  private let runningMemory: AlignedMemory

  /// All weights zero: call `initialise` or `load`.
  ///
  /// - Parameter form: a network that there is: see ``DetectorForm/problem``.
  public convenience init(_ form: DetectorForm) {
    self.init(form, form.graph)
  }

  /// A whole network.
  public convenience init(_ name: DetectorName) { self.init(DetectorForm(name)) }

  convenience init(_ name: DetectorName, _ graph: NetworkGraph) {
    self.init(DetectorForm(name), graph)
  }

  /// - Parameter graph: need not be what `form` has.
  init(_ form: DetectorForm, _ graph: NetworkGraph) {
    self.form = form
    self.graph = graph
    let count = graph.parameters.reduce(0) { $0 + $1.extent }
    valueMemory = AlignedMemory(size: count * 4)
    let gradientMemory = AlignedMemory(size: count * 4)
    self.gradientMemory = gradientMemory
    runningMemory = AlignedMemory(size: graph.runningCount * 4)
    values = UnsafeMutableBufferPointer(start: valueMemory.floats(), count: count)
    gradients = UnsafeMutableBufferPointer(start: gradientMemory.floats(), count: count)
    runningStatistics = UnsafeMutableBufferPointer(
      start: runningMemory.floats(), count: graph.runningCount)
    resetRunningStatistics()
  }

  /// Keeps the gradients in other memory from now on, such as some that ranks share. Call before any
  /// program is made of the detector.
  ///
  /// - Parameters:
  ///   - address: room for as many float32, aligned to a cache line.
  ///   - owner: keeps the memory.
  public func placeGradients(at address: UnsafeMutableRawPointer, of owner: AnyObject) {
    gradients = UnsafeMutableBufferPointer(
      start: address.assumingMemoryBound(to: Float.self), count: gradients.count)
    gradientMemory = owner
  }

  /// Where in the arenas the weights of a stage and of all before it begin: they go on to the end.
  ///
  /// - Parameter stage: one of ``DetectorForm/stages`` that the network has.
  public func firstElement(upTo stage: String) -> Int {
    let stage = name.graph.stages.first { $0.name == stage }!
    precondition(stage.parameters <= parameters.count, "\(form) has the stage \(stage.name)")
    return stage.parameters == 0 ? values.count : parameters[stage.parameters - 1].offset
  }

  /// Trainable elements as published.
  public var parameterCount: Int { parameters.reduce(0) { $0 + $1.publishedCount } }

  /// He initialisation (He et al. 2015): convolutions normal with variance 2/fan-in, norms γ = 1 and
  /// β = 0, the head uniform in ±1/√fan-in, biases zero. Depends on the seed alone.
  public func initialise(seed: UInt64) {
    for (index, parameter) in parameters.enumerated() {
      var generator = CounterGenerator(
        seed: seed, sample: UInt64(index), purpose: .initialisation)
      let count = parameter.publishedCount
      let published: [Float]
      switch parameter.initial {
      case .constant(let value): published = Array(repeating: value, count: count)
      case .uniform:
        let bound = 1 / Double(parameter.fanIn).squareRoot()
        published = (0..<count).map { _ in
          Float(bound * (2 * generator.uniformDouble() - 1))
        }
      case .normal:
        let deviation = (2 / Double(parameter.fanIn)).squareRoot()
        published = (0..<count).map { _ in Float(deviation * generator.normal()) }
      }
      parameter.store(published, into: values.baseAddress!)
    }
    resetRunningStatistics()
  }

  private func resetRunningStatistics() {
    for norm in norms {
      for c in 0..<norm.stride {
        runningStatistics[norm.runningOffset + c] = 0
        runningStatistics[norm.runningOffset + norm.stride + c] = 1
      }
    }
  }

  func value(_ index: Int) -> UnsafeMutablePointer<Float> {
    values.baseAddress! + parameters[index].offset
  }

  /// Of all weights and running statistics, as they are now.
  public var contents: ContentsDigest {
    var digest = ContentsDigest()
    digest.add(UnsafeRawBufferPointer(values))
    digest.add(UnsafeRawBufferPointer(runningStatistics))
    return digest
  }

  func gradient(_ index: Int) -> UnsafeMutablePointer<Float> {
    gradients.baseAddress! + parameters[index].offset
  }

  func runningMean(_ norm: BatchNorm) -> UnsafeMutablePointer<Float> {
    runningStatistics.baseAddress! + norm.runningOffset
  }

  func runningVariance(_ norm: BatchNorm) -> UnsafeMutablePointer<Float> {
    runningStatistics.baseAddress! + norm.runningOffset + norm.stride
  }
}
