#if canImport(Glibc)
  import Glibc
#else
  import Musl
#endif

/// Memory of the calling thread for the tile that it has in hand: made when it first asks, gone when it ends.
enum ThreadScratch {
  /// Float32 elements.
  static let capacity = 1 << 20

  private static let key: pthread_key_t = {
    var key = pthread_key_t()
    let status = pthread_key_create(&key) { Unmanaged<AlignedMemory>.fromOpaque($0!).release() }
    precondition(status == 0, "no key for memory of threads: \(status)")
    return key
  }()

  static var floats: UnsafeMutablePointer<Float> {
    if let known = pthread_getspecific(key) {
      return Unmanaged<AlignedMemory>.fromOpaque(known).takeUnretainedValue().floats()
    }
    let memory = AlignedMemory(size: capacity * MemoryLayout<Float>.stride)
    pthread_setspecific(key, Unmanaged.passRetained(memory).toOpaque())
    return memory.floats()
  }
}
