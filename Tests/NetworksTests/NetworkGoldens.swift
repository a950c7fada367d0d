import Foundation
import Synchronization
import Tensors
